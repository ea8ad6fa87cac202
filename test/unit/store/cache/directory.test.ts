import { describe, expect, test } from "bun:test";
import { type ErrorCode, OcibundleError } from "../../../../src/errors.ts";
import { cacheFailure, cacheDirectory, isUnusable } from "../../../../src/store/cache/directory.ts";

const linux = { platform: "linux", home: "/home/ada" };
const mac = { platform: "darwin", home: "/Users/ada" };
const windows = { platform: "win32", home: "C:\\Users\\ada" };

test.each([
  [{}, linux, "/home/ada/.cache/ocibundle"],
  [{ HOME: "/root" }, linux, "/root/.cache/ocibundle"],
  [{ XDG_CACHE_HOME: "/big" }, linux, "/big/ocibundle"],
  [{ XDG_CACHE_HOME: "/big" }, mac, "/big/ocibundle"],
  [{ XDG_CACHE_HOME: "relative" }, linux, "/home/ada/.cache/ocibundle"],
  [{ XDG_CACHE_HOME: "" }, linux, "/home/ada/.cache/ocibundle"],
  [{ OCIBUNDLE_CACHE: "/own", XDG_CACHE_HOME: "/big" }, linux, "/own"],
  [{ OCIBUNDLE_CACHE: "own" }, linux, "/work/own"],
  [{ OCIBUNDLE_CACHE: "" }, linux, "/home/ada/.cache/ocibundle"],
  [{}, mac, "/Users/ada/Library/Caches/ocibundle"],
  [{ LOCALAPPDATA: "D:\\local" }, windows, "D:\\local\\ocibundle\\cache"],
  [{}, windows, "C:\\Users\\ada\\AppData\\Local\\ocibundle\\cache"],
])("%j on %j lies in %s", (env, host, expected) => {
  const cwd = host.platform === "win32" ? "C:\\work" : "/work";
  expect(cacheDirectory({ env, cwd }, host)).toBe(expected);
});

test("without a home directory it says what to set", () => {
  expect(() => cacheDirectory({ env: {}, cwd: "/work" }, { ...linux, home: undefined })).toThrow(
    expect.objectContaining({ code: "file", hint: "set OCIBUNDLE_CACHE to a directory" }),
  );
});

const errnoError = (code: string) => Object.assign(new Error(code), { code });

describe("a failure", () => {
  test.each([
    ...["ENOSPC", "EDQUOT", "EROFS", "EACCES", "EPERM", "EIO"].map((code) => [code, "system"]),
    ["ENAMETOOLONG", "file"],
    ["ENOTDIR", "conflict"],
    ["EEXIST", "conflict"],
  ])(
    "%s names the directory and the way out, and a run may go on without the cache",
    (code = "", kind) => {
      const shown = cacheFailure("/own", errnoError(code)) as OcibundleError;
      expect(shown).toBeInstanceOf(OcibundleError);
      expect(shown.code).toBe(kind as ErrorCode);
      expect(shown.message).toStartWith('cannot use the cache directory "/own": ');
      expect(shown.hint).toContain("OCIBUNDLE_CACHE");
      expect(isUnusable(shown)).toBe(true);
    },
  );

  test("of another kind stays as it is", () => {
    const integrity = new OcibundleError("integrity", "wrong digest");
    expect(cacheFailure("/own", integrity)).toBe(integrity);
    expect(isUnusable(integrity)).toBe(false);
    const bug = new TypeError("bug");
    expect(cacheFailure("/own", bug)).toBe(bug);
    expect(isUnusable(bug)).toBe(false);
  });

  test("of a disk that fails is a reason to go on without", () => {
    expect(isUnusable(cacheFailure("/own", errnoError("EIO")))).toBe(true);
  });
});
