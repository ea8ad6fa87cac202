import type { ContentWriter } from "../oci/content.ts";
import { OcibundleError } from "../errors.ts";
import { parseSource } from "../image/source.ts";
import { formatReference, type Reference } from "../oci/reference.ts";
import { openOutput } from "./output.ts";
import type { Session } from "./session.ts";

/** Where a model is copied to: a tag on a registry, or a layout. */
export interface Destination extends AsyncDisposable {
  /** For messages. */
  name: string;
  writer: ContentWriter;
  /** Undefined for a registry, where a digest alone is named. */
  tag: string | undefined;
  /** Set for a registry. */
  reference: Reference | undefined;
  commit(): Promise<void>;
}

/** Opens a registry reference, `oci:DIR[:TAG]` or `oci-archive:FILE[:TAG]` to be written. Throws `usage`. */
export async function openDestination(session: Session, text: string): Promise<Destination> {
  const spec = parseSource(text);
  switch (spec.kind) {
    case "oci":
    case "oci-archive": {
      const output = await openOutput(spec, session.cwd, session.signal);
      return { ...output, name: text, tag: spec.tag, reference: undefined };
    }
    case "registry":
      return registryDestination(session, spec.reference);
    case "anywhere":
      return registryDestination(session, spec.image.reference);
    default:
      throw new OcibundleError("usage", `"${text}": nothing is copied to there`, {
        hint: "copy to a registry reference, oci:DIR[:TAG] or oci-archive:FILE[:TAG]",
      });
  }
}

function registryDestination(session: Session, reference: Reference): Destination {
  return {
    name: formatReference(reference),
    writer: session.writer(reference),
    tag: reference.tag,
    reference,
    commit: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  };
}
