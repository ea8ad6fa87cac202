import { expect, test } from "bun:test";
import { describeError } from "../../src/cli/error-report.ts";
import { amended, causeOf, OcibundleError, withContext, withoutSubject } from "../../src/errors.ts";
import { failedPath, isBelow, unwritable } from "../../src/runtime/file-faults.ts";

test("a file that could not be removed for a reason without a name is this machine's refusal, not a bug", () => {
  const error = Object.assign(new Error("EFAULT: bad address in system call argument, rm 'a'"), {
    code: "EFAULT",
    syscall: "rm",
  });
  expect(describeError(error)).toMatchObject({ code: "system", exitCode: 7 });
});

test("a message is the subjects, outermost first, and the reason", () => {
  const cause = new RangeError("inner");
  const refused = new OcibundleError("denied", "access denied", {
    subject: ["reg/acme", "blob b"],
    hint: "log in",
    cause,
  });
  expect(refused.message).toBe("reg/acme: blob b: access denied");
  const pushed = withContext("push reg/acme:v1", withoutSubject("reg/acme", refused));
  expect(pushed).toMatchObject({
    code: "denied",
    message: "push reg/acme:v1: blob b: access denied",
    reason: "access denied",
    subject: ["push reg/acme:v1", "blob b"],
    hint: "log in",
    cause,
  });
  expect(amended(refused, { hint: "wait" })).toMatchObject({
    message: refused.message,
    hint: "wait",
  });
});

test("a subject that only looks like the known one stays", () => {
  const error = new OcibundleError("network", "reg/acme: no answer", { subject: "reg/acme/more" });
  expect(withoutSubject("reg/acme", error)).toBe(error);
});

test("a cause is found by its class, and a circle of causes ends", () => {
  const inner = new RangeError("inner");
  const outer = new Error("outer", { cause: new OcibundleError("file", "x", { cause: inner }) });
  expect(causeOf(outer, RangeError)).toBe(inner);
  expect(causeOf(outer, SyntaxError)).toBeUndefined();
  inner.cause = outer;
  expect(causeOf(outer, SyntaxError)).toBeUndefined();
});

test("a file that can't be written is known by its path, whatever stands in front", () => {
  const full = Object.assign(new Error("ENOSPC: write"), { code: "ENOSPC" });
  const error = withContext("weight a", unwritable("/cache/tmp/x", full));
  expect(error).toMatchObject({
    code: "system",
    message: `weight a: "/cache/tmp/x": cannot write: no space left on device`,
  });
  expect(isBelow("/cache", failedPath(error))).toBe(true);
  expect(isBelow("/cac", failedPath(error))).toBe(false);
});
