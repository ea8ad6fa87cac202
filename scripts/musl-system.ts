// Makes a small system that has musl and no glibc, for the tests: Debian's musl and busybox, and the C++ library that a
// Python wheel for musl brings along. Nothing else that is packaged here has one.
//
//   bun scripts/musl-system.ts DIR
import { $ } from "bun";
import { unzipSync } from "fflate";
import {
  chmod,
  copyFile,
  cp,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rm,
  writeFile,
} from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fetchDebianPackages } from "./release/debian.ts";

/** Small, and written in C++. */
const wheel = "greenlet==3.5.6";

const [directory] = process.argv.slice(2);
if (directory === undefined) throw new Error("usage: musl-system.ts DIR");
const work = await mkdtemp(join(tmpdir(), "ocibundle-musl-"));
try {
  for (const one of ["bin", "dev", "lib", "proc", "root", "tmp", "usr/lib", "usr/local"]) {
    await mkdir(join(directory, one), { recursive: true });
  }
  const packages = ["musl", "busybox-static"];
  const [musl, busybox] = await fetchDebianPackages(packages, "amd64", join(work, "debian"));
  await copyFile(
    join(musl?.root ?? "", "usr/lib/x86_64-linux-musl/libc.so"),
    join(directory, "lib/ld-musl-x86_64.so.1"),
  );
  await cp(join(busybox?.root ?? "", "usr/bin/busybox"), join(directory, "bin/busybox"));
  const applets = await $`${join(directory, "bin/busybox")} --list`.text();
  for (const applet of applets.trim().split("\n")) {
    if (applet !== "busybox") await $`ln -sf busybox ${join(directory, "bin", applet)}`;
  }
  const platform = ["--platform", "musllinux_1_2_x86_64", "--python-version", "3.11"];
  const flags = ["--quiet", "--no-deps", "--only-binary", ":all:", ...platform];
  await $`python3 -m pip download ${flags} --dest ${work} ${wheel}`.quiet();
  const file = (await readdir(work)).find((name) => name.endsWith(".whl")) ?? "";
  const libraries = unzipSync(await readFile(join(work, file)), {
    filter: ({ name }) => /\.libs\/lib(?:stdc\+\+|gcc_s)-/.test(name),
  });
  for (const [path, bytes] of Object.entries(libraries)) {
    // Wheels put a hash into names, by which these two know each other; others know the first by its own.
    const name = basename(path).replace(/^libstdc\+\+.*/, "libstdc++.so.6");
    await writeFile(join(directory, "usr/lib", name), bytes);
    await chmod(join(directory, "usr/lib", name), 0o755);
  }
} finally {
  await rm(work, { recursive: true, force: true });
}
