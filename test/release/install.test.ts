import { describe, expect, test } from "bun:test";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create } from "tar";
import { afterwards } from "../support/afterwards.ts";

const script = join(import.meta.dir, "../../install.sh");

/** The shells that the script must run in; the last is what Alpine has. */
const shells = [["dash"], ["bash", "--posix"], ["busybox", "sh"]].filter(
  ([name = ""]) => Bun.which(name) !== null,
);

interface Release {
  url: string;
  directory: string;
  /** The paths that were asked for. */
  asked: string[];
}

/** A release on loopback of which each archive holds a program that prints `program`. */
async function serveRelease(targets: readonly string[], program: string): Promise<Release> {
  const directory = await temporary();
  writeFileSync(join(directory, "ocibundle"), program, { mode: 0o755 });
  const sums: string[] = [];
  for (const target of targets) {
    const name = `ocibundle-${target}.tar.gz`;
    await create({ cwd: directory, file: join(directory, name), gzip: true }, ["ocibundle"]);
    sums.push(`${sha256(join(directory, name))}  ${name}\n`);
  }
  writeFileSync(join(directory, "SHA256SUMS"), sums.join(""));
  const asked: string[] = [];
  const server = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    fetch(request) {
      const { pathname } = new URL(request.url);
      asked.push(pathname);
      const path = join(directory, pathname);
      return existsSync(path)
        ? new Response(Bun.file(path))
        : new Response("not found", { status: 404 });
    },
  });
  afterwards(() => server.stop(true));
  return { url: `http://127.0.0.1:${server.port}`, directory, asked };
}

const sha256 = (path: string): string =>
  createHash("sha256").update(readFileSync(path)).digest("hex");

async function temporary(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), "ocibundle-install-"));
  afterwards(() => rm(directory, { recursive: true, force: true }));
  return directory;
}

interface Machine {
  /** What `uname -s` and `uname -m` say. */
  system?: string;
  machine?: string;
  /** The flags of /proc/cpuinfo. */
  cpu?: string;
  args?: string[];
}

/** Runs the script on a machine that says it is another. */
async function install(shell: readonly string[], release: Release, machine: Machine = {}) {
  const { system = "Linux", machine: arch = "x86_64", cpu = "fpu avx2", args = [] } = machine;
  const home = await temporary();
  const bin = join(home, "fakes");
  mkdirSync(bin);
  writeFileSync(
    join(bin, "uname"),
    `#!/bin/sh\ncase $1 in -s) echo '${system}' ;; -m) echo '${arch}' ;; esac\n`,
    { mode: 0o755 },
  );
  const cpuinfo = join(home, "cpuinfo");
  writeFileSync(cpuinfo, `flags\t\t: ${cpu} bmi2\n`);
  const temp = join(home, "temp");
  mkdirSync(temp);
  const prefix = join(home, "prefix");
  const child = Bun.spawn([...shell, script, "--prefix", prefix, ...args], {
    env: {
      PATH: `${bin}:${process.env["PATH"] ?? ""}`,
      HOME: home,
      TMPDIR: temp,
      OCIBUNDLE_RELEASE_URL: release.url,
      OCIBUNDLE_CPUINFO: cpuinfo,
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  const code = await child.exited;
  expect(readdir(temp)).toEqual([]);
  return { code, stdout, stderr, prefix, installed: readdir(join(prefix, "bin")) };
}

const readdir = (path: string): string[] =>
  existsSync(path) ? [...new Bun.Glob("**").scanSync({ cwd: path, dot: true })] : [];

const program = "#!/bin/sh\necho '1.2.3 (0123abc)'\n";

describe.each(shells)("install.sh in %s", (...shell) => {
  test("installs what fits, and says where", async () => {
    const release = await serveRelease(["linux-amd64"], program);
    const ended = await install(shell, release, { args: ["--version", "v1.2.3"] });
    expect({ code: ended.code, stderr: ended.stderr }).toEqual({ code: 0, stderr: "" });
    expect(ended.installed).toEqual(["ocibundle"]);
    expect(ended.stdout).toContain(
      `installed ocibundle 1.2.3 (0123abc) as ${ended.prefix}/bin/ocibundle\n`,
    );
    expect(readFileSync(join(ended.prefix, "bin/ocibundle"), "utf8")).toBe(program);
  });

  test.each([
    ["linux-arm64", { machine: "aarch64" }],
    ["linux-amd64-baseline", { cpu: "fpu avx" }],
    ["darwin-arm64", { system: "Darwin", machine: "arm64" }],
    ["darwin-amd64", { system: "Darwin" }],
  ] as const)("chooses %s", async (target, machine) => {
    const release = await serveRelease([target], program);
    expect((await install(shell, release, machine)).code).toBe(0);
    expect(release.asked).toEqual(["/SHA256SUMS", `/ocibundle-${target}.tar.gz`]);
  });

  test.each([
    ["another system", { system: "Plan9" }, 'no binary for the operating system "Plan9"'],
    ["another processor", { machine: "riscv64" }, 'no binary for the architecture "riscv64"'],
    ["Windows", { system: "MINGW64_NT-10.0" }, "does not install on Windows"],
    ["a flag that it does not know", { args: ["--pre"] }, 'unknown argument "--pre"'],
    ["a flag without its value", { args: ["--version"] }, "--version needs a value"],
  ] as const)("refuses %s, and downloads nothing", async (_, machine, says) => {
    const release = await serveRelease(["linux-amd64"], program);
    const { code, stderr, installed } = await install(shell, release, {
      ...machine,
      args: "args" in machine ? [...machine.args] : [],
    });
    expect(code).toBe(1);
    expect(stderr).toStartWith("error: ");
    expect(stderr).toContain(says);
    expect(installed).toEqual([]);
    expect(release.asked).toEqual([]);
  });

  test.each([
    [
      "a wrong checksum",
      ({ directory }: Release) => {
        const path = join(directory, "SHA256SUMS");
        const [hex = ""] = readFileSync(path, "utf8").split(" ");
        writeFileSync(path, `${hex.replace(/^./, hex.startsWith("0") ? "1" : "0")}  ${archive}\n`);
      },
      "has the SHA-256",
    ],
    [
      "an archive that was cut",
      ({ directory }: Release) => {
        const bytes = readFileSync(join(directory, archive));
        writeFileSync(join(directory, archive), bytes.subarray(0, bytes.length - 10));
      },
      "has the SHA-256",
    ],
    [
      "an archive that was cut before it was summed up",
      ({ directory }: Release) => {
        const path = join(directory, archive);
        writeFileSync(path, readFileSync(path).subarray(0, 20));
        writeFileSync(join(directory, "SHA256SUMS"), `${sha256(path)}  ${archive}\n`);
      },
      "cannot be unpacked",
    ],
    [
      "an archive that is missing",
      ({ directory }: Release) => rm(join(directory, archive)),
      "cannot download",
    ],
    [
      "a release without sums",
      ({ directory }: Release) => rm(join(directory, "SHA256SUMS")),
      "cannot download",
    ],
    [
      "a release without this platform",
      ({ directory }: Release) => writeFileSync(join(directory, "SHA256SUMS"), ""),
      `the release has no ${archive}`,
    ],
  ] as const)("refuses %s, and installs nothing", async (_, spoil, says) => {
    const release = await serveRelease(["linux-amd64"], program);
    await spoil(release);
    const { code, stderr, installed } = await install(shell, release);
    expect(code).toBe(1);
    expect(stderr).toContain("error: ");
    expect(stderr).toContain(says);
    expect(installed).toEqual([]);
  });

  test("refuses a binary that does not run, and one of another version", async () => {
    const broken = await serveRelease(["linux-amd64"], "#!/bin/sh\necho no loader >&2; exit 127\n");
    const failed = await install(shell, broken);
    expect(failed).toMatchObject({ code: 1, installed: [] });
    expect(failed.stderr).toContain("the binary does not run here: no loader");
    const release = await serveRelease(["linux-amd64"], program);
    const other = await install(shell, release, { args: ["--version=9.9.9"] });
    expect(other).toMatchObject({ code: 1, installed: [] });
    expect(other.stderr).toContain('has "1.2.3 (0123abc)" instead of version 9.9.9');
  });
});

const archive = "ocibundle-linux-amd64.tar.gz";
