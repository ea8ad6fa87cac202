import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { unzipSync } from "fflate";
import manifest from "../../package.json";
import { afterwards } from "../support/afterwards.ts";

const MiB = 1024 * 1024;

/** A directory that `npm run release` made; without it nothing here runs. */
const given = process.env["OCIBUNDLE_RELEASE"];
const release = resolve(given ?? "");
const names = given === undefined ? [] : readdirSync(release);
const sums = () => readFileSync(join(release, "SHA256SUMS"), "utf8").trim().split("\n");

async function temporary(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "ocibundle-release-"));
  afterwards(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

/** Nothing of this machine's settings, and no cache of its user's. */
const environment = (home: string, path = ""): Record<string, string> => ({
  PATH: `${path}${process.env["PATH"] ?? ""}`,
  HOME: home,
  TMPDIR: home,
});

function run(command: string[], cwd: string, env = environment(cwd)) {
  const { exitCode, stdout, stderr } = Bun.spawnSync(command, { cwd, env });
  return { code: exitCode, stdout: String(stdout), stderr: String(stderr) };
}

const isManPage = (file: string): boolean => /^man\/ocibundle(-[a-z-]+)?\.1$/.test(file);

/** The first MiB of the program in an archive, and no more: it is a hundred times larger. */
async function binaryOf(archive: string): Promise<Buffer> {
  const path = join(release, archive);
  if (archive.endsWith(".zip")) {
    const files = unzipSync(readFileSync(path), {
      filter: ({ name }) => name === "ocibundle.exe",
    });
    return Buffer.from(files["ocibundle.exe"] ?? []).subarray(0, MiB);
  }
  const child = Bun.spawn(["tar", "-xzOf", path, "ocibundle"], { stdout: "pipe" });
  const chunks: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of child.stdout) {
    chunks.push(chunk);
    length += chunk.length;
    if (length >= MiB) break;
  }
  child.kill();
  await child.exited;
  return Buffer.concat(chunks).subarray(0, MiB);
}

/** The system, the processor and, where it is musl, the C library that a program's first bytes name. */
function headerOf(bytes: Buffer): string {
  if (bytes.readUInt32BE(0) === 0x7f_45_4c_46) {
    const machine = { 0x3e: "amd64", 0xb7: "arm64" }[bytes.readUInt16LE(18)];
    return `linux-${machine}${bytes.includes("/lib/ld-musl-") ? "-musl" : ""}`;
  }
  if (bytes.readUInt32LE(0) === 0xfe_ed_fa_cf) {
    const machine = { 0x1_00_00_07: "amd64", 0x1_00_00_0c: "arm64" }[bytes.readUInt32LE(4)];
    return `darwin-${machine}`;
  }
  if (bytes.toString("latin1", 0, 2) === "MZ") {
    const header = bytes.readUInt32LE(0x3c);
    const machine = { 0x86_64: "amd64", 0xaa_64: "arm64" }[bytes.readUInt16LE(header + 4)];
    return `windows-${machine}`;
  }
  return "unknown";
}

const version = `${manifest.version} (`;

describe.skipIf(given === undefined)("a release (OCIBUNDLE_RELEASE names its directory)", () => {
  test("has the sums of all its files", () => {
    expect(sums().map((line) => line.slice(66))).toEqual(
      names.filter((name) => name !== "SHA256SUMS").toSorted(),
    );
    for (const line of sums()) {
      const bytes = readFileSync(join(release, line.slice(66)));
      expect(createHash("sha256").update(bytes).digest("hex")).toBe(line.slice(0, 64));
    }
  });

  test("has archives with the program, its licenses and completions", async () => {
    const archives = names.filter((name) => name.endsWith(".tar.gz"));
    expect(archives).not.toEqual([]);
    for (const name of archives) {
      const listed = run(["tar", "-tzf", join(release, name)], await temporary()).stdout;
      const files = listed.trim().split("\n");
      expect(files.filter(isManPage)).toContain("man/ocibundle-push.1");
      expect(files.filter((file) => !isManPage(file))).toEqual([
        "ocibundle",
        "LICENSE",
        "THIRD-PARTY-NOTICES.txt",
        "completions/_ocibundle",
        "completions/ocibundle.bash",
        "completions/ocibundle.fish",
        "completions/ocibundle.ps1",
      ]);
    }
  });

  test("has binaries of the platforms that their archives name", async () => {
    const archives = names.filter((name) => /\.(?:tar\.gz|zip)$/.test(name));
    for (const name of archives) {
      const target = name.replace(/^ocibundle-/, "").replace(/\.(?:tar\.gz|zip)$/, "");
      const [system = "", arch = ""] = target.split("-");
      expect({ name, header: headerOf(await binaryOf(name)) }).toEqual({
        name,
        header: `${system}-${arch}${target.includes("musl") ? "-musl" : ""}`,
      });
    }
  });

  test("has a bill of materials with every library that is compiled in", () => {
    const bill = JSON.parse(readFileSync(join(release, "ocibundle.cdx.json"), "utf8")) as {
      specVersion: string;
      components: { name: string; version: string; licenses: unknown[]; "bom-ref": string }[];
      dependencies: { ref: string; dependsOn: string[] }[];
    };
    expect(bill.specVersion).toBe("1.6");
    const versions = new Map(bill.components.map((one) => [one.name, one.version]));
    for (const [name, pinned] of Object.entries(manifest.dependencies)) {
      expect({ name, version: versions.get(name) }).toEqual({ name, version: pinned });
    }
    expect(versions.get("bun")).toBe(manifest.devDependencies.bun);
    expect(versions.has("typescript")).toBe(false);
    const refs = new Set(bill.components.map((one) => one["bom-ref"]));
    for (const { dependsOn } of bill.dependencies) {
      for (const ref of dependsOn) expect(refs.has(ref)).toBe(true);
    }
  });

  test("is installed by its install.sh", async () => {
    const home = await temporary();
    const server = Bun.serve({
      hostname: "127.0.0.1",
      port: 0,
      fetch: (request) => new Response(Bun.file(join(release, new URL(request.url).pathname))),
    });
    afterwards(() => server.stop(true));
    const child = Bun.spawn(["sh", join(release, "install.sh"), "--prefix", home], {
      env: { ...environment(home), OCIBUNDLE_RELEASE_URL: server.url.href },
      stdout: "pipe",
      stderr: "pipe",
    });
    expect(await new Response(child.stderr).text()).toBe("");
    expect(await child.exited).toBe(0);
    expect(run([join(home, "bin/ocibundle"), "--version"], home).stdout).toStartWith(version);
    const tried = run(
      ["sh", join(import.meta.dir, "../../scripts/try-binary.sh"), join(home, "bin/ocibundle")],
      home,
    );
    expect({ code: tried.code, stderr: tried.code === 0 ? "" : tried.stderr }).toEqual({
      code: 0,
      stderr: "",
    });
  }, 60_000);

  test("has npm packages that run, pass exit codes and signals on, and say when none fits", async () => {
    const home = await temporary();
    writeFileSync(join(home, "package.json"), "{}");
    const tarballs = names.filter((name) => /^npm-.*\.tgz$/.test(name));
    const fitting = tarballs.filter(
      (name) =>
        name === `npm-ocibundle-${manifest.version}.tgz` ||
        name === `npm-ocibundle-${process.platform}-${process.arch}-${manifest.version}.tgz`,
    );
    expect(fitting).toHaveLength(2);
    const npm = ["npm", "install", "--offline", "--no-audit", "--no-fund"];
    const installed = run([...npm, ...fitting.map((name) => join(release, name))], home);
    expect({ code: installed.code, stderr: installed.code === 0 ? "" : installed.stderr }).toEqual({
      code: 0,
      stderr: "",
    });
    const npx = ["npx", "--offline", "ocibundle"];
    expect(run([...npx, "--version"], home).stdout).toStartWith(version);
    expect(run([...npx, "inspect", "oci:nowhere"], home).code).not.toBe(0);
    const launcher = join(home, "node_modules/.bin/ocibundle");
    const direct = run([launcher, "no-such-command"], home);
    expect(direct.code).toBe(2);

    const waiting = Bun.spawn([launcher, "registry-start", "--foreground", "--storage", home], {
      cwd: home,
      env: environment(home),
      stdout: "pipe",
      stderr: "ignore",
    });
    const reader = waiting.stdout.getReader();
    expect(new TextDecoder().decode((await reader.read()).value)).toContain("TEST_REGISTRY=");
    waiting.kill("SIGTERM");
    expect([0, 143]).toContain(await waiting.exited);

    await rm(join(home, "node_modules/@ocibundle"), { recursive: true });
    const without = run([launcher, "--version"], home);
    expect(without.code).toBe(7);
    expect(without.stderr).toStartWith("error: no binary of ocibundle is installed for ");
  }, 120_000);

  test("has a wheel that pip installs", async () => {
    const home = await temporary();
    const venv = join(home, "venv");
    // Without a pip of its own, which takes longer than all the rest; the system's installs into it.
    const made = run(["python3", "-m", "venv", "--without-pip", venv], home);
    expect({ code: made.code, said: made.code === 0 ? "" : made.stdout + made.stderr }).toEqual({
      code: 0,
      said: "",
    });
    const pip = ["python3", "-m", "pip", "--python", join(venv, "bin/python")];
    const flags = ["--no-index", "--quiet", "--find-links", release];
    const installed = run([...pip, "install", ...flags, "ocibundle"], home);
    expect({ code: installed.code, stderr: installed.code === 0 ? "" : installed.stderr }).toEqual({
      code: 0,
      stderr: "",
    });
    expect(run([join(venv, "bin/ocibundle"), "--version"], home).stdout).toStartWith(version);
    const shown = run([...pip, "show", "--files", "ocibundle"], home).stdout;
    expect(shown).toContain(`Version: ${manifest.version}`);
    expect(run([...pip, "uninstall", "--yes", "ocibundle"], home).code).toBe(0);
    expect(existsSync(join(venv, "bin/ocibundle"))).toBe(false);
  }, 120_000);
});
