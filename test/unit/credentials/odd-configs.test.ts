import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { chmod, mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findCredential } from "../../../src/credentials/find.ts";
import { configPlaces } from "../../../src/credentials/files.ts";
import { errorOf } from "../../support/failure.ts";

let directory = "";
let env: Record<string, string> = {};
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "ocibundle-odd-configs-"));
  env = { HOME: join(directory, "home"), XDG_RUNTIME_DIR: join(directory, "run") };
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const path = (): string => join(directory, "home", ".docker", "config.json");

async function write(at: string, content: string): Promise<string> {
  await mkdir(dirname(at), { recursive: true });
  await writeFile(at, content);
  return at;
}

async function look(host = "registry.test", repository = "a") {
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  return { found: await findCredential(host, repository, env, { warn }), warnings };
}

const ada = { kind: "password", username: "ada", password: "pw?>" } as const;
const encoded = btoa("ada:pw?>");
const entry = (auth: string): string => JSON.stringify({ auths: { "registry.test": { auth } } });

describe("what Go's decoder takes", () => {
  test.each([
    ["a byte order mark", `\uFEFF${entry(encoded)}`],
    ["lines of base64", entry(`${encoded.slice(0, 4)}\r\n${encoded.slice(4)}\n`)],
    ["blanks around base64", entry(` ${encoded} `)],
    ["base64 without padding", entry(encoded.replaceAll("=", ""))],
    ["base64 for URLs", entry(Buffer.from("ada:pw?>").toString("base64url"))],
    ["zero bytes around the password", entry(btoa("ada:\0pw?>\0\0"))],
    ["members in another case", `{"Auths":{"registry.test":{"Auth":"${encoded}"}}}`],
    [
      "null for what is not there",
      `{"auths":{"registry.test":{"auth":"${encoded}","username":null,"password":null,"identitytoken":null,"registrytoken":null}},"credHelpers":null,"credsStore":null}`,
    ],
    [
      "members that nobody knows",
      `{"auths":{"registry.test":{"auth":"${encoded}","email":7}},"x":[1e400]}`,
    ],
    ["something behind the document", `${entry(encoded)}\n}`],
    [
      "a name and a password in the clear",
      `{"auths":{"registry.test":{"username":"ada","password":"pw?>"}}}`,
    ],
    [
      "an empty auth beside a name",
      `{"auths":{"registry.test":{"auth":"","username":"ada","password":"pw?>"}}}`,
    ],
    [
      "auth before a name",
      `{"auths":{"registry.test":{"auth":"${encoded}","username":"x","password":"y"}}}`,
    ],
  ])("%s", async (_, text) => {
    await write(path(), text);
    expect(await look()).toEqual({ found: ada, warnings: [] });
  });

  test.each([
    "https://registry.test",
    "https://registry.test/",
    "https://registry.test/v1/",
    "https://registry.test/v2/",
    "https://registry.test/api/docker/v1",
    "http://REGISTRY.test/v1",
    "registry.test/",
    "registry.test/v2/",
  ])("a key %p", async (key) => {
    await write(path(), JSON.stringify({ auths: { [key]: { auth: encoded } } }));
    expect(await look()).toEqual({ found: ada, warnings: [] });
  });

  test("the key that Docker looks for goes before other spellings", async () => {
    const auths = {
      "https://registry.test/v1/": { auth: btoa("old:pw") },
      "registry.test": { auth: encoded },
      "https://index.docker.io/v1/access-token": { auth: btoa("access:token") },
      "https://index.docker.io/v1/refresh-token": { auth: btoa("refresh:token") },
      "index.docker.io": { auth: btoa("old:pw") },
      "https://index.docker.io/v1/": { auth: encoded },
    };
    await write(path(), JSON.stringify({ auths }));
    expect((await look()).found).toEqual(ada);
    expect((await look("docker.io", "library/a")).found).toEqual(ada);
  });

  test("the tokens of Docker's own service are no login", async () => {
    const auths = { "https://index.docker.io/v1/refresh-token": { auth: btoa("refresh:token") } };
    await write(path(), JSON.stringify({ auths }));
    expect(await look("docker.io", "library/a")).toEqual({ found: undefined, warnings: [] });
  });
});

const login = (user: string): string =>
  JSON.stringify({ auths: { "registry.test": { auth: btoa(`${user}:pw`) } } });
const userOf = async (): Promise<unknown> => {
  const { found } = await look();
  return found?.kind === "password" ? found.username : found;
};

describe("places", () => {
  test("a variable with a config goes before the files that nobody named", async () => {
    await write(path(), login("docker"));
    env["DOCKER_AUTH_CONFIG"] = login("variable");
    expect(await userOf()).toBe("variable");
    env["REGISTRY_AUTH_FILE"] = await write(join(directory, "named.json"), login("named"));
    expect(await userOf()).toBe("named");
  });

  test("a variable that is no config is told, without its value", async () => {
    await write(path(), login("docker"));
    env["DOCKER_AUTH_CONFIG"] = '{"auths": "s3cret"';
    const { found, warnings } = await look();
    expect(found).toMatchObject({ username: "docker" });
    expect(warnings).toEqual(["DOCKER_AUTH_CONFIG: not a JSON document"]);
  });

  test("Podman's files, with a directory for the run and without", async () => {
    await write(join(directory, "home", ".config", "containers", "auth.json"), login("config"));
    expect(await userOf()).toBe("config");
    await write(join(directory, "run", "containers", "auth.json"), login("run"));
    expect(await userOf()).toBe("run");
    delete env["XDG_RUNTIME_DIR"];
    expect(configPlaces(env).map((place) => place.path)).toContain(
      `/run/containers/${process.getuid?.()}/auth.json`,
    );
    env["XDG_CONFIG_HOME"] = join(directory, "config");
    await write(join(directory, "config", "containers", "auth.json"), login("xdg"));
    expect(await userOf()).toBe("xdg");
  });

  test("no HOME, or one that is not there, has nothing", async () => {
    for (const HOME of ["", join(directory, "none"), "relative"]) {
      env = { ...env, HOME };
      expect(await look()).toEqual({ found: undefined, warnings: [] });
    }
  });
});

describe("a config that nobody named and that cannot be read is told, and passed over", () => {
  test.each([
    ["a directory", () => mkdir(path(), { recursive: true }), "is a directory"],
    [
      "a FIFO",
      async () => {
        await mkdir(dirname(path()), { recursive: true });
        Bun.spawnSync(["mkfifo", path()]);
      },
      "is not a regular file",
    ],
    [
      "a link to a device",
      async () => {
        await mkdir(dirname(path()), { recursive: true });
        await symlink("/dev/full", path());
      },
      "is not a regular file",
    ],
  ])("%s", async (_, make, why) => {
    await make();
    const { found, warnings } = await look();
    expect(found).toBeUndefined();
    expect(warnings).toEqual([`"${path()}" ${why}`]);
    env["REGISTRY_AUTH_FILE"] = join(directory, "named");
    await mkdir(env["REGISTRY_AUTH_FILE"]);
    expect(await errorOf(findCredential("registry.test", "a", env))).toMatchObject({
      code: "file",
    });
  });

  test.skipIf(process.getuid?.() === 0)("a file of somebody else", async () => {
    await chmod(await write(path(), "{}"), 0);
    expect((await look()).warnings).toEqual([`"${path()}" cannot be read: permission denied`]);
  });
});
