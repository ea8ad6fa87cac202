import { expect, test } from "bun:test";
import { readGraph } from "../../../../src/model/graph/content-graph.ts";
import { referrersOf } from "../../../../src/model/graph/referrers.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { openLayout } from "../../../../src/store/layout/layout.ts";
import { amd64, layoutBench, signal } from "../../../support/model/layout-bench.ts";

const emit = (): void => undefined;

test("what refers to a manifest need say no more of it than its digest", async () => {
  const bench = await layoutBench();
  const image = await bench.image(amd64, "image");
  const about = async (subject: object) =>
    bench.manifest({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      artifactType: "application/vnd.example.sbom",
      config: await bench.blob("{}", mediaTypes.ociEmpty),
      layers: [await bench.blob(JSON.stringify(subject), "text/plain")],
      subject,
    });
  const { digest } = image;
  const size = image.bytes.byteLength;
  const referring = [
    await about({ digest }),
    await about({ digest, size }),
    await about({ Digest: digest, mediaType: null }),
  ];
  const others = [await about({}), await about({ digest: "md5:1" })];
  for (const one of [...referring, ...others]) {
    await bench.layout.writeManifest(one, one.digest.slice(7, 20), signal);
  }
  const graph = await readGraph(bench.layout, image, signal);
  const found: string[] = [];
  for await (const one of referrersOf(await openLayout(bench.directory), graph, { signal, emit })) {
    found.push(one.graph.root.digest);
  }
  expect(found.toSorted()).toEqual(referring.map((one) => one.digest).toSorted());
});
