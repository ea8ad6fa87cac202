import { $ } from "bun";
import { existsSync } from "node:fs";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";

/** The release of Debian that the image has the C library of. */
const suite = "trixie";
/** Debian's keys, as its releases call the file. */
const keyrings = ["pgp", "gpg"].map((end) => `/usr/share/keyrings/debian-archive-keyring.${end}`);

/** One Debian package, unpacked. */
export interface DebianPackage {
  name: string;
  /** The fields that dpkg keeps of an installed package. */
  control: string;
  /** Where its files are. */
  root: string;
}

/**
 * Downloads packages of Debian for an architecture, which need not be this machine's, and unpacks each into a
 * directory of its own. apt verifies them; it keeps all it knows in `directory`, apart from this system's, and
 * needs no root. Throws where apt or Debian's keys are missing.
 */
export async function fetchDebianPackages(
  names: readonly string[],
  architecture: string,
  directory: string,
): Promise<DebianPackage[]> {
  for (const tool of ["apt-get", "dpkg-deb"]) {
    if (Bun.which(tool) === null) throw new Error(`${tool} is missing: use --without-image`);
  }
  const keyring = keyrings.find((path) => existsSync(path));
  if (keyring === undefined) {
    throw new Error(
      "Debian's keys are missing: install debian-archive-keyring, or use --without-image",
    );
  }
  const at = join(directory, architecture);
  const downloads = join(at, "packages");
  for (const one of ["state/lists/partial", "cache/archives/partial", "packages"]) {
    await mkdir(join(at, one), { recursive: true });
  }
  const sources = join(at, "sources.list");
  const archive = "http://deb.debian.org";
  await writeFile(
    sources,
    [
      `deb [signed-by=${keyring}] ${archive}/debian ${suite} main`,
      `deb [signed-by=${keyring}] ${archive}/debian ${suite}-updates main`,
      `deb [signed-by=${keyring}] ${archive}/debian-security ${suite}-security main`,
      "",
    ].join("\n"),
  );
  const settings = {
    "APT::Architecture": architecture,
    "APT::Architectures": architecture,
    // Another user could not write here; what is downloaded is verified all the same.
    "APT::Sandbox::User": "root",
    "Acquire::Languages": "none",
    "Acquire::Retries": "3",
    "Dir::State": join(at, "state"),
    "Dir::State::status": "/dev/null",
    "Dir::Cache": join(at, "cache"),
    "Dir::Etc::sourcelist": sources,
    "Dir::Etc::sourceparts": "/dev/null",
    "Dir::Etc::preferences": "/dev/null",
    "Dir::Etc::preferencesparts": "/dev/null",
  };
  const options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  // A list that can't be fetched is an error, not a warning: an old one has old packages.
  await $`apt-get -qq ${options} --error-on=any update`.quiet();
  await $`apt-get -qq ${options} download ${names}`.cwd(downloads).quiet();

  const unpacked: DebianPackage[] = [];
  for (const name of names) {
    const file = (await readdir(downloads)).find((one) => one.startsWith(`${name}_`));
    if (file === undefined) throw new Error(`apt-get downloaded no ${name}`);
    const root = join(at, "unpacked", name);
    await mkdir(root, { recursive: true });
    await $`dpkg-deb --extract ${join(downloads, file)} ${root}`.quiet();
    const control = await $`dpkg-deb --field ${join(downloads, file)}`.text();
    unpacked.push({ name, control, root });
  }
  return unpacked;
}
