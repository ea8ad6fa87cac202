import { resolve } from "node:path";
import { sampleLayers, writeSampleImage } from "../../../scripts/sample-image.ts";
import type { ScriptCommand } from "./state.ts";

/** Commands that make images without an engine. */
export const imageCommands = {
  /** `sample-image DIRECTORY TAG [PLATFORM...] [attestation] [created=DATE]`: an OCI layout with a small image that runs. */
  async "sample-image"({ args: [directory = "", tag = "", ...rest], state }) {
    const created = rest.find((word) => word.startsWith("created="))?.slice("created=".length);
    const platforms = rest.filter((word) => word !== "attestation" && !word.startsWith("created="));
    await writeSampleImage(resolve(state.cwd, directory), tag, sampleLayers(`print("${tag}")\n`), {
      ...(platforms.length === 0 ? {} : { platforms }),
      ...(created === undefined ? {} : { created }),
      attestation: rest.includes("attestation"),
    });
  },
} satisfies Record<string, ScriptCommand>;
