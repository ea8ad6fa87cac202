import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmod,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { findCredential, rememberHelpers } from "../../../src/credentials/find.ts";
import { eraseCredential, storeCredential } from "../../../src/credentials/keep.ts";
import { errorOf } from "../../support/failure.ts";

/** What runs side by side is tried with the program itself. */
const lock = () => Promise.resolve(undefined);

let directory = "";
let env: Record<string, string> = {};

beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "ocibundle-credentials-"));
  env = { HOME: join(directory, "home"), PATH: `${join(directory, "bin")}:${process.env["PATH"]}` };
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const auth = (user: string, secret = "pw"): { auth: string } => ({
  auth: btoa(`${user}:${secret}`),
});
const user = (username: string, password = "pw") =>
  ({ kind: "password", username, password }) as const;

async function write(path: string, content: unknown): Promise<string> {
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

const dockerConfig = (content: unknown): Promise<string> =>
  write(join(directory, "home", ".docker", "config.json"), content);

/** A real helper program: keeps what it is given in files, one a key, and notes how it was called. */
async function installHelper(name: string, script?: string): Promise<string> {
  const store = join(directory, `store-${name}`);
  await mkdir(store, { recursive: true });
  const path = await write(
    join(directory, "bin", `docker-credential-${name}`),
    script ??
      `#!/bin/sh
input=$(cat)
printf '%s\\n' "$*" >> "${store}/calls"
name() { printf %s "$1" | tr -c 'A-Za-z0-9' _; }
case "$1" in
  get) file="${store}/$(name "$input")"
       if [ -f "$file" ]; then cat "$file"; else echo "credentials not found in native keychain"; exit 1; fi ;;
  store) key=$(printf %s "$input" | sed 's/.*"ServerURL":"\\([^"]*\\)".*/\\1/'); printf %s "$input" > "${store}/$(name "$key")" ;;
  erase) rm "${store}/$(name "$input")" ;;
esac
`,
  );
  await chmod(path, 0o755);
  return store;
}

/** What is found for a registry, and what is told meanwhile. */
async function warned(host: string): Promise<{ found: unknown; warnings: string[] }> {
  const warnings: string[] = [];
  const warn = (message: string): void => void warnings.push(message);
  return { found: await findCredential(host, "a", env, { warn }), warnings };
}

describe("what is found", () => {
  test("nothing where nothing is", async () => {
    expect(await findCredential("registry.test", "a/b", env)).toBeUndefined();
  });

  test("the entry with the longest path, then the host's", async () => {
    await dockerConfig({
      auths: {
        "registry.test": auth("host"),
        "registry.test/acme": auth("acme"),
        "registry.test/acme/llama": auth("llama"),
      },
    });
    expect(await findCredential("registry.test", "acme/llama", env)).toEqual(user("llama"));
    expect(await findCredential("registry.test", "acme/llama2", env)).toEqual(user("acme"));
    expect(await findCredential("registry.test", "acm", env)).toEqual(user("host"));
    expect(await findCredential("registry.test", undefined, env)).toEqual(user("host"));
    expect(await findCredential("registry.test:443", "acme", env)).toBeUndefined();
  });

  test.each([
    "https://index.docker.io/v1/",
    "index.docker.io",
    "docker.io",
    "https://registry-1.docker.io/v2/",
  ])("Docker's registry under %p", async (key) => {
    await dockerConfig({ auths: { [key]: auth("hub") } });
    expect(await findCredential("docker.io", "library/alpine", env)).toEqual(user("hub"));
  });

  test.each(["https://registry.test", "http://registry.test/", "https://registry.test/v1/"])(
    "a host under %p, as older versions wrote it",
    async (key) => {
      await dockerConfig({ auths: { [key]: auth("old") } });
      expect(await findCredential("registry.test", "a", env)).toEqual(user("old"));
    },
  );

  test("a password with colons, other letters, and the zero bytes that Docker once wrote", async () => {
    const bytes = Buffer.from("ada:pä:ss\0\0", "utf8").toString("base64");
    await dockerConfig({ auths: { "registry.test": { auth: bytes } } });
    expect(await findCredential("registry.test", "a", env)).toEqual(user("ada", "pä:ss"));
  });

  test("identity tokens, registry tokens, and names in the clear", async () => {
    await dockerConfig({
      auths: {
        "one.test": { ...auth("ada", ""), identitytoken: "id" },
        "two.test": { registrytoken: "reg" },
        "three.test": { username: "ada", password: "pw" },
      },
    });
    expect(await findCredential("one.test", "a", env)).toEqual({
      kind: "refresh",
      token: "id",
      username: "ada",
    });
    expect(await findCredential("two.test", "a", env)).toEqual({ kind: "bearer", token: "reg" });
    expect(await findCredential("three.test", "a", env)).toEqual(user("ada"));
  });

  test("REGISTRY_AUTH_FILE first, then Docker's config, then that of containers", async () => {
    env["XDG_RUNTIME_DIR"] = join(directory, "run");
    env["DOCKER_CONFIG"] = join(directory, "docker");
    await dockerConfig({ auths: { "registry.test": auth("home") } });
    await write(join(directory, "run", "containers", "auth.json"), {
      auths: { "registry.test": auth("containers") },
    });
    expect(await findCredential("registry.test", "a", env)).toEqual(user("containers"));
    await write(join(directory, "docker", "config.json"), {
      auths: { "registry.test": auth("docker") },
    });
    expect(await findCredential("registry.test", "a", env)).toEqual(user("docker"));
    env["REGISTRY_AUTH_FILE"] = await write(join(directory, "named.json"), {
      auths: { "registry.test": auth("named") },
    });
    expect(await findCredential("registry.test", "a", env)).toEqual(user("named"));
  });

  test("a broken entry is told when it is this registry's", async () => {
    const path = await dockerConfig({
      auths: { "broken.test": { auth: 17 }, "registry.test": auth("ada") },
    });
    expect(await warned("registry.test")).toEqual({ found: user("ada"), warnings: [] });
    const { found, warnings } = await warned("broken.test");
    expect(found).toBeUndefined();
    expect(warnings).toEqual([`"${path}": auths "broken.test": auth is not valid`]);
  });

  test.each(["{", "[]", "7", '{"auths": []}', "\0", '{"credsStore": 7}'])(
    "a config of %p is told, and an error where the user named it",
    async (text) => {
      const path = await dockerConfig(text);
      const { found, warnings } = await warned("registry.test");
      expect(found).toBeUndefined();
      expect(warnings).toHaveLength(1);
      expect(warnings[0]).toStartWith(`"${path}": `);
      env["REGISTRY_AUTH_FILE"] = path;
      expect(await errorOf(findCredential("registry.test", "a", env))).toMatchObject({
        code: "file",
      });
    },
  );

  test.each(["credsStore", "credHelpers"])(
    "a %s that is not valid is told and passed over, and the rest is used",
    async (name) => {
      const path = await dockerConfig({ [name]: [7], auths: { "registry.test": auth("ada") } });
      expect(await warned("registry.test")).toEqual({
        found: user("ada"),
        warnings: [`"${path}": ${name} is not valid`],
      });
      // A login that such a file might keep elsewhere is not written into it.
      const before = await readFile(path, "utf8");
      const login = { kind: "password", username: "ada", password: "pw" } as const;
      const storing = storeCredential("registry.test", login, {
        env,
        lock: () => Promise.resolve(undefined),
      });
      expect(await errorOf(storing)).toMatchObject({ code: "file" });
      expect(await readFile(path, "utf8")).toBe(before);
    },
  );

  test("auths that are not valid leave the helper to be asked", async () => {
    const own = await installHelper("own");
    await write(join(own, "registry_test"), answer("own", "pw"));
    const path = await dockerConfig({ auths: [], credsStore: "own" });
    expect(await warned("registry.test")).toEqual({
      found: user("own"),
      warnings: [`"${path}": auths is not valid`],
    });
  });

  test.each(["", "{}", '{"auths": null}', '{"auths": {"registry.test": {}}}'])(
    "a config of %p has nothing",
    async (text) => {
      await dockerConfig(text);
      expect(await findCredential("registry.test", "a", env)).toBeUndefined();
    },
  );
});

/** What a helper prints for a key it has. */
const answer = (username: string, secret: string): string =>
  JSON.stringify({ ServerURL: "x", Username: username, Secret: secret });

describe("a credential helper", () => {
  test("is asked, one of the host before the one for all", async () => {
    const all = await installHelper("all");
    const own = await installHelper("own");
    await write(join(all, "registry_test"), answer("all", "pw"));
    await write(join(own, "registry_test"), answer("own", "pw"));
    await dockerConfig({ credsStore: "all", credHelpers: { "registry.test": "own" } });
    expect(await findCredential("registry.test", "a", env)).toEqual(user("own"));
    await dockerConfig({ credsStore: "all" });
    expect(await findCredential("registry.test", "a", env)).toEqual(user("all"));
  });

  test("is asked for a registry by the name that Docker left in the file, whatever its case", async () => {
    const store = await installHelper("test");
    await write(join(store, "Registry_Test"), answer("own", "pw"));
    const path = await dockerConfig({ credsStore: "test", auths: { "Registry.Test": {} } });
    expect(await findCredential("registry.test", "a", env)).toEqual(user("own"));
    await storeCredential("registry.test", user("new"), { env, lock });
    expect(JSON.parse(await readFile(path, "utf8"))).toMatchObject({
      auths: { "Registry.Test": {} },
    });
    expect(await findCredential("registry.test", "a", env)).toEqual(user("new"));
    expect(await eraseCredential("registry.test", { env, lock })).toBe(true);
    expect(await findCredential("registry.test", "a", env)).toBeUndefined();
  });

  test("knows Docker's registry by its old name, and tokens by their user", async () => {
    const store = await installHelper("test");
    await write(join(store, "https___index_docker_io_v1_"), answer("<token>", "id"));
    await dockerConfig({ credsStore: "test" });
    expect(await findCredential("docker.io", "library/a", env)).toEqual({
      kind: "refresh",
      token: "id",
    });
  });

  test("that has nothing leaves the file to look in", async () => {
    await installHelper("test");
    await dockerConfig({ credsStore: "test", auths: { "registry.test": auth("file") } });
    expect(await findCredential("registry.test", "a", env)).toEqual(user("file"));
    expect(await findCredential("other.test", "a", env)).toBeUndefined();
  });

  test("that is missing is told, and the file looked in", async () => {
    await dockerConfig({ credsStore: "missing", auths: { "registry.test": auth("file") } });
    expect(await warned("registry.test")).toEqual({
      found: user("file"),
      warnings: ['the credential helper "docker-credential-missing" is not installed'],
    });
  });

  test.each([
    ["fails", "#!/bin/sh\necho 'keychain is locked'\nexit 1\n", "keychain is locked"],
    [
      "answers with no credential",
      '#!/bin/sh\necho \'{"Secret": "s3cret"}\'\n',
      "not a credential",
    ],
    ["never stops talking", "#!/bin/sh\nexec cat /dev/zero\n", "too long"],
    ["does not read", "#!/bin/sh\nexec 0<&-\nexit 3\n", "failed"],
  ])("that %s is named, and the file looked in", async (_, script, message) => {
    await installHelper("bad", script);
    await dockerConfig({ credsStore: "bad", auths: { "registry.test": auth("file") } });
    const { found, warnings } = await warned("registry.test");
    expect(found).toEqual(user("file"));
    expect(warnings).toHaveLength(1);
    expect(warnings[0]).toContain("docker-credential-bad");
    expect(warnings[0]).toContain(message);
    expect(warnings[0]).not.toContain("s3cret");
  });

  test.each(["../../bin/sh", "a b", "-x", "/bin/sh"])("named %p is never run", async (name) => {
    await dockerConfig({ credHelpers: { "registry.test": name } });
    const { found, warnings } = await warned("registry.test");
    expect(found).toBeUndefined();
    expect(warnings).toEqual([`"${name}" is not the name of a credential helper`]);
  });

  test("whose name is empty is none, and the file keeps the login", async () => {
    await installHelper("all");
    await dockerConfig({
      credsStore: "all",
      credHelpers: { "registry.test": "", "null.test": null },
      auths: { "registry.test": auth("file"), "null.test": auth("null"), "all.test": auth("all") },
    });
    expect(await warned("registry.test")).toEqual({ found: user("file"), warnings: [] });
    expect(await warned("null.test")).toEqual({ found: user("null"), warnings: [] });
    await dockerConfig({ credsStore: "", auths: { "registry.test": auth("file") } });
    expect(await warned("registry.test")).toEqual({ found: user("file"), warnings: [] });
  });

  test("that answers with nothing has nothing", async () => {
    await installHelper("empty", "#!/bin/sh\necho '{}'\n");
    await dockerConfig({ credsStore: "empty", auths: { "registry.test": auth("file") } });
    expect(await warned("registry.test")).toEqual({ found: user("file"), warnings: [] });
  });

  test("that hangs is ended by an interruption", async () => {
    await installHelper("slow", "#!/bin/sh\nexec sleep 60\n");
    await dockerConfig({ credsStore: "slow" });
    const controller = new AbortController();
    const reason = new Error("enough");
    const found = findCredential("registry.test", "a", env, { signal: controller.signal });
    controller.abort(reason);
    expect(await errorOf(found)).toBe(reason);
  });
});

describe("what is kept", () => {
  test("is found again, in a file for the user alone", async () => {
    const keeper = await storeCredential("registry.test:5000", user("ada"), { env, lock });
    const path = join(directory, "home", ".docker", "config.json");
    expect(keeper).toEqual({ kind: "file", path });
    expect((await stat(path)).mode & 0o777).toBe(0o600);
    expect(await findCredential("registry.test:5000", "a", env)).toEqual(user("ada"));
    expect(await readdir(dirname(path))).toEqual(["config.json"]);
  });

  test("leaves everything else as it was, and takes the place of older spellings", async () => {
    const config = {
      HttpHeaders: { "X-Meta": "1" },
      auths: { "https://registry.test/v1/": auth("old"), "other.test": auth("other") },
      detachKeys: "ctrl-a",
      psFormat: "x",
    };
    const path = await dockerConfig(config);
    await chmod(path, 0o644);
    await storeCredential("registry.test", user("new"), { env, lock });
    const text = await readFile(path, "utf8");
    expect(JSON.parse(text)).toEqual({
      ...config,
      auths: { "other.test": auth("other"), "registry.test": auth("new") },
    });
    expect(Object.keys(JSON.parse(text) as object)).toEqual(Object.keys(config));
    expect((await stat(path)).mode & 0o777).toBe(0o600);
  });

  test("for Docker's registry has the key that Docker looks for", async () => {
    await storeCredential("docker.io", user("ada"), { env, lock });
    const config: unknown = JSON.parse(
      await readFile(join(directory, "home", ".docker", "config.json"), "utf8"),
    );
    expect(config).toEqual({ auths: { "https://index.docker.io/v1/": auth("ada") } });
  });

  test("goes to the helper, and the file has the name only", async () => {
    const store = await installHelper("test");
    const path = await dockerConfig({ credsStore: "test" });
    expect(await storeCredential("registry.test", user("ada", "s3cret"), { env, lock })).toEqual({
      kind: "helper",
      name: "test",
    });
    expect(await readFile(path, "utf8")).not.toContain(btoa("ada:s3cret"));
    expect(JSON.parse(await readFile(path, "utf8"))).toEqual({
      credsStore: "test",
      auths: { "registry.test": {} },
    });
    expect(await findCredential("registry.test", "a", env)).toEqual(user("ada", "s3cret"));
    expect(await readFile(join(store, "calls"), "utf8")).not.toContain("s3cret");
    expect(await eraseCredential("registry.test", { env, lock })).toBe(true);
    expect(await findCredential("registry.test", "a", env)).toBeUndefined();
    expect(await eraseCredential("registry.test", { env, lock })).toBe(false);
  });

  test("follows a symbolic link to the file that it stands for", async () => {
    const real = await write(join(directory, "dotfiles", "docker.json"), { psFormat: "x" });
    const link = join(directory, "home", ".docker", "config.json");
    await mkdir(dirname(link), { recursive: true });
    await symlink(real, link);
    await storeCredential("registry.test", user("ada"), { env, lock });
    expect((await lstat(link)).isSymbolicLink()).toBe(true);
    expect(JSON.parse(await readFile(real, "utf8"))).toMatchObject({ psFormat: "x" });
  });

  test("goes to REGISTRY_AUTH_FILE where that is set", async () => {
    env["REGISTRY_AUTH_FILE"] = join(directory, "named.json");
    await storeCredential("registry.test", user("ada"), { env, lock });
    expect(await readdir(directory)).toEqual(["named.json"]);
  });

  test("is forgotten, with everything else left", async () => {
    const path = await dockerConfig({ auths: { "registry.test": auth("a"), "b.test": auth("b") } });
    expect(await eraseCredential("registry.test", { env, lock })).toBe(true);
    expect(JSON.parse(await readFile(path, "utf8"))).toEqual({ auths: { "b.test": auth("b") } });
    expect(await eraseCredential("registry.test", { env, lock })).toBe(false);
  });

  test("in a broken file is an error that leaves the file alone", async () => {
    const path = await dockerConfig("{broken");
    expect(await errorOf(storeCredential("registry.test", user("a"), { env, lock }))).toMatchObject(
      {
        code: "file",
      },
    );
    expect(await readFile(path, "utf8")).toBe("{broken");
  });

  test("where no file can be is an error", async () => {
    env["DOCKER_CONFIG"] = join(await write(join(directory, "file"), "x"), "below");
    const failure = await errorOf(
      storeCredential("registry.test", user("a", "s3cret"), { env, lock }),
    );
    expect(failure).toMatchObject({ code: "conflict" });
    expect(failure.message).not.toContain("s3cret");
  });
});

test("a helper is asked once for a registry, and again when its answer may have ended", async () => {
  let now = 0;
  let asked = 0;
  const ask = rememberHelpers(
    () => now,
    () => Promise.resolve(user("AWS", `token ${(asked += 1)}`)),
  );
  const options = { env: {} };
  expect(await ask("ecr-login", "r.example", options)).toEqual(user("AWS", "token 1"));
  expect(await ask("ecr-login", "r.example", options)).toEqual(user("AWS", "token 1"));
  now += 600_000;
  expect(await ask("ecr-login", "r.example", options)).toEqual(user("AWS", "token 2"));
});
