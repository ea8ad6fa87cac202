import { amended, OcibundleError } from "../../errors.ts";
import type { ContentWriter } from "../../oci/content.ts";
import { explainedLayers } from "./layer-limit.ts";

/**
 * The same target, whose errors about wrong bytes and too many layers come with a hint. A blob whose source can give
 * other bytes, because those of its mirror were wrong, is written once more.
 */
export const withHints = (target: ContentWriter): ContentWriter => {
  const hinting: ContentWriter = {
    ...target,
    async writeManifest(manifest, tag, signal) {
      try {
        return await target.writeManifest(manifest, tag, signal);
      } catch (error) {
        throw explainedLayers(error, manifest);
      }
    },
    async writeBlob(blob, options) {
      let told = 0;
      const onBytes = (bytes: number, resumed?: boolean): void => {
        told += bytes;
        options.onBytes?.(bytes, resumed);
      };
      try {
        return await target.writeBlob(blob, { ...options, onBytes });
      } catch (error) {
        if (!(error instanceof OcibundleError) || error.code !== "integrity") throw error;
        // A mirror's bytes: the registry behind it may have the right ones.
        if (blob.reportCorrupt?.() === true) {
          options.onBytes?.(-told);
          return hinting.writeBlob(blob, options);
        }
        throw amended(error, { hint: error.hint ?? blob.mismatchHint });
      }
    },
  };
  return hinting;
};
