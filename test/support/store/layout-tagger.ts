import { digestOf } from "../../../src/oci/digest.ts";
import { mediaTypes } from "../../../src/oci/media-types.ts";
import { createLayout } from "../../../src/store/layout/layout-writer.ts";

/** Run as a process of its own: tags NAME0, NAME1, … in a layout that others write too. */
const [directory = "", name = "", count = "0"] = process.argv.slice(2);
const { signal } = new AbortController();
const layout = await createLayout(directory, signal);
for (let at = 0; at < Number(count); at += 1) {
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { mediaType: mediaTypes.ociConfig, digest: digestOf("{}"), size: 2 },
      layers: [],
      annotations: { name, at: String(at) },
    }),
  );
  const manifest = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes };
  await layout.writeManifest(manifest, `${name}${at}`, signal);
}
