import { resolve } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { parseSource } from "../../image/source/source.ts";
import type { ContentWriter } from "../../oci/content.ts";
import type { WantedBlobs } from "../../store/archive/unfinished.ts";
import { createLayoutArchive } from "../../store/archive/writer.ts";
import { createLayout } from "../../store/layout/layout.ts";

/** A layout that is being written. */
export interface Output extends AsyncDisposable {
  writer: ContentWriter;
  /** Puts what was written under its final name. Without it, disposing leaves no half archive behind. */
  commit(): Promise<void>;
}

export interface OutputName {
  kind: "oci" | "oci-archive";
  path: string;
  tag: string | undefined;
}

/** Reads `oci:DIR[:TAG]` or `oci-archive:FILE[:TAG]`. Throws `usage`. */
export function parseOutput(text: string): OutputName {
  const spec = parseSource(text);
  if (spec.kind === "oci" || spec.kind === "oci-archive") return spec;
  throw new OcibundleError("usage", `"${text}" is not a layout`, {
    hint: "-o takes oci:DIR[:TAG] or oci-archive:FILE[:TAG]; for a registry use `ocibundle push`",
  });
}

/**
 * Begins or continues a layout folder, or begins an archive; with `wanted`, all that is to be written, one
 * that an earlier run did not finish is gone on with.
 */
export async function openOutput(
  { kind, path }: OutputName,
  cwd: string,
  signal: AbortSignal,
  wanted?: WantedBlobs,
): Promise<Output> {
  if (kind === "oci-archive" && path === "-") {
    throw new OcibundleError("usage", "an archive cannot be written to standard output", {
      hint: `name a file, as oci-archive:model.tar; a file that is called so is "oci-archive:./-"`,
    });
  }
  const whole = resolve(cwd, path);
  if (kind === "oci") {
    const writer = await createLayout(whole, signal);
    return { writer, commit: () => writer.settle(), [Symbol.asyncDispose]: async () => undefined };
  }
  const writer = await createLayoutArchive(whole, wanted);
  return {
    writer,
    commit: () => writer.commit(signal),
    [Symbol.asyncDispose]: () => writer.discard(),
  };
}
