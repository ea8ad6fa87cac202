import type { Dependency } from "./dependencies.ts";

export interface Product {
  name: string;
  version: string;
  /** An SPDX expression. */
  license: string;
  /** The version of Bun that is part of every binary. */
  bun: string;
  dependencies: readonly Dependency[];
  /** When the sources were last changed. */
  time: Date;
}

/** The licenses of all that is in the binary beside the project's own code. */
export function thirdPartyNotices({ name, bun, dependencies }: Product): string {
  const runtime = `Bun ${bun} (MIT)

The JavaScript runtime that is part of the binary. It contains JavaScriptCore (LGPL-2.1) and further
libraries; their licenses, and how to relink them, are at
https://github.com/oven-sh/bun/blob/bun-v${bun}/LICENSE.md`;
  const libraries = dependencies.map(
    (one) =>
      `${one.name} ${one.version} (${one.license})\n\n${one.licenseText?.trim() ?? "The package contains no text of its license."}`,
  );
  const line = `\n\n${"-".repeat(80)}\n\n`;
  return `${[`Third-party software in ${name}`, runtime, ...libraries].join(line)}\n`;
}

/** A CycloneDX 1.6 bill of materials: https://cyclonedx.org/docs/1.6/json/ */
export function billOfMaterials({ name, version, license, bun, dependencies, time }: Product) {
  const own = `pkg:npm/${name}@${version}`;
  const runtime = `pkg:npm/bun@${bun}`;
  const references = dependencies.map((one) => ({ ...one, ref: purl(one) }));
  const refsOf = (names: readonly string[]): string[] =>
    references.flatMap((one) => (names.includes(one.name) ? [one.ref] : []));
  const needed = new Set(dependencies.flatMap(({ needs }) => needs));
  const direct = dependencies.map((one) => one.name).filter((one) => !needed.has(one));
  return {
    bomFormat: "CycloneDX",
    specVersion: "1.6",
    version: 1,
    metadata: {
      timestamp: time.toISOString(),
      component: {
        type: "application",
        "bom-ref": own,
        name,
        version,
        purl: own,
        licenses: [{ license: { id: license } }],
      },
    },
    components: [
      {
        type: "platform",
        "bom-ref": runtime,
        name: "bun",
        version: bun,
        purl: runtime,
        licenses: [{ license: { id: "MIT" } }],
      },
      ...references.map((one) => ({
        type: "library",
        "bom-ref": one.ref,
        name: one.name,
        version: one.version,
        purl: one.ref,
        licenses: [{ expression: one.license }],
      })),
    ],
    dependencies: [
      { ref: own, dependsOn: [runtime, ...refsOf(direct)] },
      { ref: runtime, dependsOn: [] },
      ...references.map((one) => ({ ref: one.ref, dependsOn: refsOf(one.needs) })),
    ],
  };
}

/** https://github.com/package-url/purl-spec: the `@` of a scope is escaped. */
const purl = ({ name, version }: Dependency): string =>
  `pkg:npm/${name.replace(/^@/, "%40")}@${version}`;
