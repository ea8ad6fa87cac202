import { OcibundleError } from "../../errors.ts";
import { type Digest, isDigest } from "../../oci/digest.ts";
import { refuseForeign, sourceForms } from "./foreign-source.ts";
import { formatReference, parseReference, type Reference } from "../../oci/reference.ts";

/** Where an image is asked for, as skopeo's users write it (docs/images.md). */
export type SourceSpec =
  | { kind: "engine"; image: EngineImage }
  | { kind: "docker-archive"; path: string; reference: Reference | undefined }
  | { kind: "oci"; path: string; tag: string | undefined }
  | { kind: "oci-archive"; path: string; tag: string | undefined }
  | { kind: "registry"; reference: Reference }
  /** A bare name: asked of the local engine first, then of its registry. */
  | { kind: "anywhere"; image: EngineName };

/** An image of an engine: by the ID it has there, or by a name. */
export type EngineImage = { id: Digest } | EngineName;

/** An image of an engine by its name. */
export interface EngineName {
  /** As it was written: engines have rules of their own for short names, and know the start of an ID. */
  name: string;
  reference: Reference;
}

const hint = sourceForms;

/**
 * The schemes, each with how what follows its colon is read; undefined where that is no source of the
 * scheme. A further one is added here and in `openImage`: nothing else knows them by name.
 */
const schemes: Readonly<Record<string, (rest: string, text: string) => SourceSpec | undefined>> = {
  oci: (rest, text) => ({ kind: "oci", ...splitPath(rest, text) }),
  "oci-archive": (rest, text) => ({ kind: "oci-archive", ...splitPath(rest, text) }),
  "docker-archive": (rest, text) => {
    const { path, tag } = splitPath(rest, text);
    const reference = tag === undefined ? undefined : parseReference(tag);
    return { kind: "docker-archive", path, reference };
  },
  "docker-daemon": (rest, text) => ({
    kind: "engine",
    image: parseEngineImage(required(rest, text)),
  }),
  docker: (rest, text) =>
    rest.startsWith("//")
      ? { kind: "registry", reference: parseReference(required(rest.slice(2), text)) }
      : undefined,
};

/** Whether a text says with its scheme what it names: it is no lock's path then. */
export const hasScheme = (text: string): boolean =>
  text.includes(":") && Object.hasOwn(schemes, splitOnce(text, ":")[0]);

/** Reads the source of an image. Throws `usage`, naming the part that is wrong. */
export function parseImageSource(text: string): SourceSpec {
  const [scheme, rest] = splitOnce(text, ":");
  const read = Object.hasOwn(schemes, scheme) ? schemes[scheme] : undefined;
  if (read === undefined) refuseForeign(text);
  else {
    const spec = read(rest ?? "", text);
    if (spec !== undefined) return spec;
  }
  if (/^(?:\.{0,2}|~)(?:[/\\]|$)/.test(text) && text !== "") {
    throw new OcibundleError("usage", `"${text}" is ambiguous`, {
      hint: `prefix it: oci:${text} for a layout, oci-archive:${text} or docker-archive:${text} for an archive`,
    });
  }
  const image = parseEngineImage(text);
  if ("id" in image) return { kind: "engine", image };
  return { kind: "anywhere", image };
}

/** The reference to a registry that a source is or may be; undefined for one that is local. */
export function referenceOf(spec: SourceSpec): Reference | undefined {
  if (spec.kind === "registry") return spec.reference;
  return spec.kind === "anywhere" ? spec.image.reference : undefined;
}

/** The source as a user would write it; read again, it is the same. */
export function formatSource(spec: SourceSpec): string {
  switch (spec.kind) {
    case "engine":
      return `docker-daemon:${formatEngineImage(spec.image)}`;
    case "docker-archive":
      return `docker-archive:${spec.path}${suffix(spec.reference && formatReference(spec.reference))}`;
    case "oci":
    case "oci-archive":
      return `${spec.kind}:${spec.path}${suffix(spec.tag)}`;
    case "registry":
      return `docker://${formatReference(spec.reference)}`;
    case "anywhere":
      return spec.image.name;
  }
}

/** The image as an engine is asked for it. */
export const formatEngineImage = (image: EngineImage): string =>
  "id" in image ? image.id : image.name;

const suffix = (tag: string | undefined): string => (tag === undefined ? "" : `:${tag}`);

function parseEngineImage(text: string): EngineImage {
  if (isDigest(text)) return { id: text };
  try {
    return { name: text, reference: parseReference(text) };
  } catch (error) {
    if (!(error instanceof OcibundleError)) throw error;
    throw new OcibundleError("usage", error.message, {
      hint: error.hint ?? hint,
      cause: error,
    });
  }
}

function required(rest: string, text: string): string {
  if (rest !== "") return rest;
  throw new OcibundleError("usage", `"${text}": no value after the colon`, { hint });
}

/** `PATH[:TAG]` or `PATH@DIGEST`. The first colon ends the path, but for the one of a drive letter. */
function splitPath(rest: string, source: string): { path: string; tag: string | undefined } {
  const text = required(rest, source);
  const drive = /^[A-Za-z]:[\\/]/.test(text) ? text.slice(0, 2) : "";
  const [path, tag] = splitOnce(text.slice(drive.length), ":");
  if (path === "") throw new OcibundleError("usage", `"${source}": the path is missing`, { hint });
  const algorithm = /@(sha256|sha512)$/.exec(path)?.[1];
  const digest = `${algorithm}:${tag}`;
  if (algorithm !== undefined && isDigest(digest)) {
    return { path: drive + path.slice(0, -algorithm.length - 1), tag: digest };
  }
  if (tag === "") {
    throw new OcibundleError("usage", `"${source}": no tag after the last colon`, {
      hint: "add a tag, or remove the colon",
    });
  }
  return { path: drive + path, tag };
}

function splitOnce(text: string, separator: string): [string, string | undefined] {
  const at = text.indexOf(separator);
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)];
}
