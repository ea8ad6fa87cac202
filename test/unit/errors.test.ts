import { expect, test } from "bun:test";
import { describeError } from "../../src/cli/error-report.ts";

test("a file that could not be removed for a reason without a name is this machine's refusal, not a bug", () => {
  const error = Object.assign(new Error("EFAULT: bad address in system call argument, rm 'a'"), {
    code: "EFAULT",
    syscall: "rm",
  });
  expect(describeError(error)).toMatchObject({ code: "system", exitCode: 7 });
});
