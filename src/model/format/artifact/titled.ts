import {
  type ArtifactContents,
  type ArtifactFormat,
  annotationOf,
  fileAt,
  rawFile,
  tarAtRoot,
} from "./contents.ts";

const title = "org.opencontainers.image.title";
const unpack = "io.deis.oras.content.unpack";

/**
 * Any artifact whose layers have a title, as `oras push` writes it: files as they are, and directories as
 * tar archives that are marked to be unpacked. As with oras, layers without a title are no files.
 */
export const titled: ArtifactFormat = {
  name: "generic",
  title: "artifact with titled layers",
  needsConfig: false,
  matches: ({ config, layers }) =>
    [config, ...layers].some((layer) => annotationOf(layer, title) !== undefined),
  list({ config, layers }, { on }) {
    const contents: ArtifactContents = { files: [], tars: [] };
    // A title makes a file of a config too.
    for (const layer of [config, ...layers]) {
      const path = annotationOf(layer, title);
      if (path === undefined) continue;
      if (annotationOf(layer, unpack) === "true") {
        // The directory itself is what `oras push .` packs.
        if (path !== ".") fileAt(path, on);
        // The names in the archive begin with the directory's.
        contents.tars.push(tarAtRoot(layer));
      } else {
        contents.files.push(rawFile(path, layer, on));
      }
    }
    return contents;
  },
};
