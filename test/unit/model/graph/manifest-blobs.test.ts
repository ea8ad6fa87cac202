import { describe, expect, test } from "bun:test";
import { blobsOfManifest } from "../../../../src/model/graph/manifest-blobs.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { layoutBench } from "../../../support/model/layout-bench.ts";

describe("the blobs of a manifest", () => {
  test("are named after the weights that they hold", async () => {
    const { layout, manifest, blob } = await layoutBench();
    const weights = await manifest({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      artifactType: "application/vnd.cog.weights.v1",
      config: await blob("{}", mediaTypes.ociEmpty),
      layers: [
        {
          ...(await blob("weights")),
          annotations: { "vnd.cog.weights.name": 'llama "8b"' },
        },
      ],
    });
    const blobs = blobsOfManifest(layout, weights);
    expect(blobs.map(({ label }) => label)).toEqual([
      "config sha256:44136fa355b3",
      String.raw`weight "llama \"8b\""`,
    ]);
    expect(blobs.map(({ group }) => group)).toEqual(["weights", "weights"]);
  });
});
