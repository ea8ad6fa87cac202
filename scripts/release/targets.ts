/** One binary of a release. */
export interface Target {
  /** In names of files: system and architecture as Docker's TARGETARCH has them, then what is special. */
  name: string;
  /** As Bun calls it. */
  bun: string;
  /** As npm's `os`, `cpu` and `libc` have it; none where npm can't tell it from another. */
  npm?: { os: string; cpu: string; libc?: "glibc" | "musl" };
  /** The platform tag of its Python wheel; none where pip can't tell it from another. */
  wheel?: string;
}

/** All binaries of a release. */
export const targets: readonly Target[] = [
  {
    name: "linux-amd64",
    bun: "linux-x64",
    npm: { os: "linux", cpu: "x64", libc: "glibc" },
    wheel: "manylinux_2_17_x86_64",
  },
  // For processors without AVX2.
  { name: "linux-amd64-baseline", bun: "linux-x64-baseline" },
  {
    name: "linux-amd64-musl",
    bun: "linux-x64-musl",
    npm: { os: "linux", cpu: "x64", libc: "musl" },
    wheel: "musllinux_1_2_x86_64",
  },
  { name: "linux-amd64-musl-baseline", bun: "linux-x64-musl-baseline" },
  {
    name: "linux-arm64",
    bun: "linux-arm64",
    npm: { os: "linux", cpu: "arm64", libc: "glibc" },
    wheel: "manylinux_2_17_aarch64",
  },
  {
    name: "linux-arm64-musl",
    bun: "linux-arm64-musl",
    npm: { os: "linux", cpu: "arm64", libc: "musl" },
    wheel: "musllinux_1_2_aarch64",
  },
  {
    name: "darwin-amd64",
    bun: "darwin-x64",
    npm: { os: "darwin", cpu: "x64" },
    wheel: "macosx_13_0_x86_64",
  },
  {
    name: "darwin-arm64",
    bun: "darwin-arm64",
    npm: { os: "darwin", cpu: "arm64" },
    wheel: "macosx_13_0_arm64",
  },
  {
    name: "windows-amd64",
    bun: "windows-x64",
    npm: { os: "win32", cpu: "x64" },
    wheel: "win_amd64",
  },
];

export const isWindows = ({ name }: Target): boolean => name.startsWith("windows-");

/** The name of the program in an archive or a package. */
export const executableName = (target: Target): string =>
  isWindows(target) ? "ocibundle.exe" : "ocibundle";

export const archiveName = (target: Target): string =>
  `ocibundle-${target.name}${isWindows(target) ? ".zip" : ".tar.gz"}`;
