import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";

/** A library that is compiled into the binary. */
export interface Dependency {
  name: string;
  version: string;
  /** An SPDX expression, as the library says. */
  license: string;
  /** Names of the libraries that it needs in turn. */
  needs: string[];
  /** The text of its license; undefined where its package has none. */
  licenseText: string | undefined;
}

interface Manifest {
  name: string;
  version: string;
  license?: string;
  dependencies?: Record<string, string>;
}

/** All that the production dependencies of the project at `root` come to, sorted by name. */
export async function bundledDependencies(root: string): Promise<Dependency[]> {
  const { dependencies = {} } = await readManifest(root);
  const found = new Map<string, Dependency>();
  const visit = async (name: string, from: string): Promise<void> => {
    const directory = await directoryOf(name, from, root);
    const manifest = await readManifest(directory);
    const key = `${name}@${manifest.version}`;
    if (found.has(key)) return;
    const needs = Object.keys(manifest.dependencies ?? {});
    found.set(key, {
      name,
      version: manifest.version,
      license: manifest.license ?? "NOASSERTION",
      needs,
      licenseText: await licenseIn(directory),
    });
    for (const need of needs) await visit(need, directory);
  };
  for (const name of Object.keys(dependencies)) await visit(name, root);
  return [...found.keys()].toSorted().flatMap((key) => found.get(key) ?? []);
}

async function readManifest(directory: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(directory, "package.json"), "utf8")) as Manifest;
}

/** Where Node would find a package that is asked for from a directory. */
async function directoryOf(name: string, from: string, root: string): Promise<string> {
  for (const base of new Set([from, root])) {
    const directory = join(base, "node_modules", name);
    if (await Bun.file(join(directory, "package.json")).exists()) return directory;
  }
  throw new Error(`${name}, which ${from} needs, is not installed`);
}

async function licenseIn(directory: string): Promise<string | undefined> {
  const names = await readdir(directory);
  const name = names.toSorted().find((one) => /^licen[cs]e(?:\.|$)/i.test(one));
  return name === undefined ? undefined : await readFile(join(directory, name), "utf8");
}
