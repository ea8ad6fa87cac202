import { resolve } from "node:path";
import { sampleLayers, writeSampleImage } from "../../scripts/sample-image.ts";
import type { ScriptCommand } from "./state.ts";

/** Commands that make images without an engine. */
export const imageCommands = {
  /** `sample-image FOLDER TAG [PLATFORM...] [attestation] [created=DATE]`: an OCI layout with a small image that runs. */
  async "sample-image"({ args: [folder = "", tag = "", ...rest], state }) {
    const created = rest.find((word) => word.startsWith("created="))?.slice("created=".length);
    const platforms = rest.filter((word) => word !== "attestation" && !word.startsWith("created="));
    await writeSampleImage(resolve(state.cwd, folder), tag, sampleLayers(`print("${tag}")\n`), {
      ...(platforms.length === 0 ? {} : { platforms }),
      ...(created === undefined ? {} : { created }),
      attestation: rest.includes("attestation"),
    });
  },
} satisfies Record<string, ScriptCommand>;
