import { describe, expect, test } from "bun:test";
import {
  hostCheck,
  hostName,
  isLoopback,
  namedHost,
  tokenCheck,
} from "../../../src/serve/access.ts";

describe("the host that a request names", () => {
  test.each([
    ["localhost:8086", "localhost"],
    ["127.0.0.1", "127.0.0.1"],
    ["[::1]:80", "::1"],
    ["Models.Internal", "models.internal"],
    ["evil.example@127.0.0.1", undefined],
    ["a b", undefined],
    ["", undefined],
  ])("%p is %p", (header, name) => {
    expect(hostName(header)).toBe(name);
  });

  test.each([
    ["Models.Internal:8086", "models.internal"],
    ["[FD00::1]:8086", "fd00::1"],
    ["fd00::1", "fd00::1"],
    ["http://models.internal", undefined],
    ["*", undefined],
    ["", undefined],
  ])("%p is named as %p", (text, name) => {
    expect(namedHost(text)).toBe(name);
  });

  test("must be this machine, or a name that was given", () => {
    const isHost = hostCheck("127.0.0.1", ["models.internal"]);
    for (const host of ["localhost:1", "127.0.0.2", "[::1]:5", "models.internal:8086"]) {
      expect([host, isHost(host)]).toEqual([host, true]);
    }
    for (const host of [undefined, "evil.example", "127.0.0.1.evil.example", "10.0.0.1"]) {
      expect([host, isHost(host)]).toEqual([host, false]);
    }
  });

  test("may be any address where all addresses are listened on", () => {
    const isHost = hostCheck("0.0.0.0", []);
    expect(isHost("10.0.0.1:8086")).toBe(true);
    expect(isHost("node.example")).toBe(false);
  });

  test("is this machine for loopback addresses only", () => {
    expect(["127.9.9.9", "::1", "localhost"].every(isLoopback)).toBe(true);
    expect(["0.0.0.0", "10.0.0.1", "127.evil.example", "::"].some(isLoopback)).toBe(false);
  });
});

describe("a token", () => {
  test("is compared as a whole", () => {
    const isAllowed = tokenCheck("s3cret");
    expect(isAllowed("Bearer s3cret")).toBe(true);
    expect(isAllowed("bearer  s3cret ")).toBe(true);
    for (const header of [
      undefined,
      "",
      "s3cret",
      "Bearer s3cre",
      "Bearer s3crets",
      "Basic s3cret",
    ]) {
      expect([header, isAllowed(header)]).toEqual([header, false]);
    }
  });

  test("is not asked for where there is none", () => {
    expect(tokenCheck(undefined)(undefined)).toBe(true);
  });
});
