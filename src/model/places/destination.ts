import type { ContentWriter } from "../../oci/content.ts";
import { OcibundleError } from "../../errors.ts";
import { parseSource } from "../../image/source/source.ts";
import { formatReference, type Reference } from "../../oci/reference.ts";
import type { ContentGraph } from "../graph/content-graph.ts";
import { openOutput } from "./output.ts";
import type { Session } from "../session/session.ts";

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

/** What a model can be copied to. */
export type DestinationName =
  | { kind: "oci" | "oci-archive"; path: string; tag: string | undefined }
  | { kind: "registry"; reference: Reference };

/** Reads a registry reference, `oci:DIR[:TAG]` or `oci-archive:FILE[:TAG]`. Throws `usage`. */
export function parseDestination(text: string): DestinationName {
  const spec = parseSource(text);
  switch (spec.kind) {
    case "oci":
    case "oci-archive":
    case "registry":
      return spec;
    case "anywhere":
      return { kind: "registry", reference: spec.image.reference };
    default:
      throw new OcibundleError("usage", `"${text}": nothing is copied to there`, {
        hint: "copy to a registry reference, oci:DIR[:TAG] or oci-archive:FILE[:TAG]",
      });
  }
}

/** Opens a destination, which `text` calls, for a model to be written to. */
export async function openDestination(
  session: Session,
  name: DestinationName,
  text: string,
  { root, children, blobs }: ContentGraph,
): Promise<Destination> {
  if (name.kind === "registry") return registryDestination(session, name.reference);
  const wanted = new Map([
    ...blobs.map(({ descriptor: { digest, size } }) => [digest, size] as const),
    ...[...children, root].map(({ digest, bytes }) => [digest, bytes.byteLength] as const),
  ]);
  const output = await openOutput(name, session.cwd, session.signal, wanted);
  return { ...output, name: text, tag: name.tag, reference: undefined };
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
