import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  utimes,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { eraseCredential, storeCredential } from "../../../src/credentials/keep.ts";
import { lockFile } from "../../../src/store/locks/wait-for-lock.ts";
import { errorOf } from "../../support/failure.ts";

let directory = "";
let path = "";
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "ocibundle-keep-"));
  path = join(directory, "docker", "config.json");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const signal = new AbortController().signal;
const options = () => ({
  env: { DOCKER_CONFIG: dirname(path) },
  lock: (at: string) => lockFile(at, { signal }),
});
const ada = { kind: "password", username: "ada", password: "pw" } as const;
const encoded = btoa("ada:pw");
const login = (host = "registry.test") => storeCredential(host, ada, options());
const logout = (host = "registry.test") => eraseCredential(host, options());

async function write(text: string): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}

describe("what else is in the config", () => {
  const text = `{
    "HttpHeaders": {"X-Meta": "\\u00e4"},
    "auths": {
        "b.test": {"auth": "YTpi", "email": 12345678901234567890},
        "a.test": {}
    },
    "big": 1e400,   "small": 0.10
}
`;

  test("stays as it is, to the byte", async () => {
    await write(text);
    await login();
    expect(await readFile(path, "utf8")).toBe(
      text.replace(
        '"a.test": {}',
        `"a.test": {},\n        "registry.test": {\n            "auth": "${encoded}"\n        }`,
      ),
    );
    expect(await logout()).toBe(true);
    expect(await readFile(path, "utf8")).toBe(text);
  });

  test.each([
    ["", '{\n\t"auths": {\n\t\t"registry.test": {\n\t\t\t"auth": "X"\n\t\t}\n\t}\n}\n'],
    ["{}", '{\n\t"auths": {\n\t\t"registry.test": {\n\t\t\t"auth": "X"\n\t\t}\n\t}\n}'],
    ['{"x":1}', '{"x":1,"auths":{"registry.test":{"auth":"X"}}}'],
    ['{"x": 1, "auths": null}', '{"x": 1, "auths": {"registry.test":{"auth":"X"}}}'],
    ['{"Auths": {"a": {}}}', '{"Auths": {"a": {}, "registry.test": {"auth":"X"}}}'],
    ['\uFEFF{"x":1}\n}', '{"x":1,"auths":{"registry.test":{"auth":"X"}}}'],
  ])("of %p", async (before, after) => {
    await write(before);
    await login();
    expect(await readFile(path, "utf8")).toBe(after.replace("X", encoded));
  });
});

describe("where the config lies", () => {
  test("a link to what is not there yet stays one", async () => {
    await mkdir(dirname(path), { recursive: true });
    await symlink("../dotfiles/docker.json", path);
    await login();
    expect((await lstat(path)).isSymbolicLink()).toBe(true);
    expect(await readFile(join(directory, "dotfiles", "docker.json"), "utf8")).toContain(encoded);
    expect(await readdir(dirname(path))).toEqual(["config.json"]);
  });

  test.each([
    ["a device", () => symlink("/dev/null", path), "is not a regular file"],
    ["a directory", () => mkdir(path), "is a directory"],
    ["a FIFO", () => Promise.resolve(Bun.spawnSync(["mkfifo", path])), "is not a regular file"],
    ["a link to itself", () => symlink("config.json", path), "is a broken symbolic link"],
  ])("%s is left alone", async (_, make, why) => {
    await mkdir(dirname(path), { recursive: true });
    await make();
    const before = await lstat(path);
    const failure = await errorOf(login());
    expect(failure).toMatchObject({ code: "file" });
    expect(failure.message).toContain(why);
    expect((await lstat(path)).ino).toBe(before.ino);
    expect((await stat("/dev/null")).isCharacterDevice()).toBe(true);
  });

  test.skipIf(process.getuid?.() !== 0)("the file keeps its owner", async () => {
    await write("{}");
    await chown(path, 12345, 23456);
    await login();
    const { uid, gid, mode } = await stat(path);
    expect({ uid, gid, mode: mode & 0o777 }).toEqual({ uid: 12345, gid: 23456, mode: 0o600 });
  });
});

describe("logins", () => {
  test("that run at once all stay", async () => {
    const hosts = Array.from({ length: 12 }, (_, index) => `r${index}.test`);
    await Promise.all(hosts.map((host) => login(host)));
    const { auths } = JSON.parse(await readFile(path, "utf8")) as { auths: object };
    expect(Object.keys(auths).toSorted()).toEqual(hosts.toSorted());
    expect(await readdir(dirname(path))).toEqual(["config.json"]);
  });

  test("that run at once all stay where nothing can be locked, too", async () => {
    const hosts = Array.from({ length: 6 }, (_, index) => `r${index}.test`);
    const unlocked = { ...options(), lock: () => Promise.resolve(undefined) };
    await Promise.all(hosts.map((host) => storeCredential(host, ada, unlocked)));
    const { auths } = JSON.parse(await readFile(path, "utf8")) as { auths: object };
    expect(Object.keys(auths).toSorted()).toEqual(hosts.toSorted());
  });

  test("that were killed leave nothing behind after the next", async () => {
    await write("{}");
    const left = `${path}.0123456789ab.tmp`;
    await writeFile(left, encoded);
    const other = `${path}.backup.tmp`;
    await writeFile(other, "x");
    await login();
    expect((await readdir(dirname(path))).toSorted()).toEqual([
      "config.json",
      "config.json.backup.tmp",
    ]);
  });

  test("where nothing can be locked leave what may be another login's", async () => {
    await write("{}");
    const [young, old] = [`${path}.0123456789ab.tmp`, `${path}.0123456789ac.tmp`];
    await writeFile(young, encoded);
    await writeFile(old, encoded);
    await utimes(old, 0, 0);
    await storeCredential("a.test", ada, { ...options(), lock: () => Promise.resolve(undefined) });
    expect((await readdir(dirname(path))).toSorted()).toEqual([
      "config.json",
      "config.json.0123456789ab.tmp",
    ]);
  });
});
