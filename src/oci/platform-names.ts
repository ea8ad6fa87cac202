/** The names of systems and architectures: Go's, and what others write for them. Those from outside may be any text. */

const systems: ReadonlyMap<string, string> = new Map([
  ["", "linux"],
  ["macos", "darwin"],
]);

/** The systems of Go that images are made for. */
const knownSystems: ReadonlySet<string> = new Set([
  "linux",
  "windows",
  "darwin",
  "freebsd",
  "netbsd",
  "openbsd",
  "solaris",
  "illumos",
  "aix",
  "android",
  "ios",
  "wasip1",
]);

const knownArchitectures: ReadonlySet<string> = new Set([
  "386",
  "amd64",
  "arm",
  "arm64",
  "loong64",
  "mips",
  "mips64",
  "mips64le",
  "mipsle",
  "ppc64",
  "ppc64le",
  "riscv64",
  "s390x",
  "wasm",
]);

/** Other names of architectures: containerd's, `uname -m`'s and Debian's. */
const architectures: ReadonlyMap<string, string> = new Map(
  Object.entries({
    i386: "386",
    i486: "386",
    i586: "386",
    i686: "386",
    x86: "386",
    x64: "amd64",
    x86_64: "amd64",
    "x86-64": "amd64",
    aarch64: "arm64",
    armhf: "arm",
    armel: "arm",
    armv5tel: "arm",
    armv6: "arm",
    armv6l: "arm",
    armv7: "arm",
    armv7l: "arm",
    loongarch64: "loong64",
    mips64el: "mips64le",
    mipsel: "mipsle",
    powerpc64le: "ppc64le",
    ppc64el: "ppc64le",
  }),
);

/** Names of architectures that say the variant of another. */
const namedVariants: ReadonlyMap<string, string> = new Map(
  Object.entries({
    i386: "",
    armel: "v6",
    armhf: "v7",
    armv5tel: "v5",
    armv6: "v6",
    armv6l: "v6",
    armv7: "v7",
    armv7l: "v7",
  }),
);

/** Whether a name is one of a system that is known here. */
export const isSystem = (name: string): boolean => knownSystems.has(systemOf(name));

/** Whether a name is one of an architecture that is known here. */
export const isArchitecture = (name: string): boolean =>
  knownArchitectures.has(architectureOf(name));

/** The name that Go has for a system; one that is not known as it is, in lower case. */
export const systemOf = (name: string): string => {
  const lower = name.toLowerCase();
  return systems.get(lower) ?? lower;
};

/** The name that Go has for an architecture; one that is not known as it is, in lower case. */
export const architectureOf = (name: string): string => {
  const lower = name.toLowerCase();
  return architectures.get(lower) ?? lower;
};

/** The variant that the name of an architecture says, empty for that without one; undefined where it says none. */
export const variantOfName = (architecture: string): string | undefined =>
  namedVariants.get(architecture.toLowerCase());
