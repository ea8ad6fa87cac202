import type { Platform } from "../../oci/platform.ts";

/** Go's names of architectures, which images are told apart by, where Node has others. */
const architectures: Readonly<Record<string, string>> = {
  x64: "amd64",
  ia32: "386",
  ppc64: "ppc64le",
  mipsel: "mipsle",
};

/** The platform of the images that run on this machine: Linux ones, for containers are that nearly everywhere. */
export const machinePlatform = (arch: string = process.arch): Platform => ({
  os: "linux",
  architecture: Object.hasOwn(architectures, arch) ? (architectures[arch] ?? arch) : arch,
});
