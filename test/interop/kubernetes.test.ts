import { expect } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import { findLibrary } from "../../scripts/parts.ts";
import { testWith } from "../support/programs/test-with.ts";
import { workbench } from "../support/programs/workbench.ts";

/** The manifests of the documentation, against the schemas of releases of Kubernetes. */
const { makeDirectory, run } = workbench();

/** A year of releases. */
const releases = ["1.33", "1.37"] as const;
/** Not of Kubernetes itself. */
const others = new Set(["serving.kserve.io/v1alpha1"]);

for (const release of releases) {
  testWith(
    ["kubernetes_validate-1.37.0"],
    `the manifests of docs/kubernetes.md are those of Kubernetes ${release}`,
    async () => {
      const text = await readFile(join(import.meta.dir, "../../docs/kubernetes.md"), "utf8");
      const blocks = [...text.matchAll(/^```yaml\n(.*?)^```$/gms)].map(([, block = ""]) => block);
      const documents = blocks
        .flatMap((block) =>
          parseAllDocuments(block).map((one) => one.toJS() as { apiVersion: string }),
        )
        .filter(({ apiVersion }) => !others.has(apiVersion));
      expect(documents.length).toBeGreaterThan(8);
      const file = join(await makeDirectory("manifests"), "manifests.json");
      await writeFile(file, JSON.stringify(documents));
      const code = `
import json, sys
import kubernetes_validate
for one in json.load(open(sys.argv[1])):
    kubernetes_validate.validate(one, sys.argv[2], strict=True)
try:
    kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x"}, "spec": {"container": []}}, sys.argv[2], strict=True)
except kubernetes_validate.ValidationError:
    print("validated")
`;
      const env = {
        PYTHONPATH: findLibrary("kubernetes_validate-1.37.0") ?? "",
        PYTHONDONTWRITEBYTECODE: "1",
      };
      expect(await run(["python3", "-c", code, file, release], { env })).toBe("validated\n");
    },
  );
}
