import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { basename, resolve } from "node:path";
import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import type { BlobSource, BlobToMove } from "../../oci/content.ts";
import { type Descriptor, MediaTypeSchema } from "../../oci/descriptor.ts";
import { type Digest, digestOf } from "../../oci/digest.ts";
import { mediaTypes } from "../../oci/media-types.ts";
import { formatReference, formatRepository, pinned, referenceTarget } from "../../oci/reference.ts";
import { blobChunks } from "../../store/blob-chunks.ts";
import { publish } from "../graph/publish.ts";
import { parseRegistryPlace } from "../places/registry-place.ts";
import { type JobContext, openSession } from "../session/session.ts";
import { notAFile, unreadable } from "../weights/file-errors.ts";
import type { Attached } from "../../report/attach.ts";

/** What is attached to what. */
export interface AttachRequest {
  /** A reference of a registry; the manifest that it stands for is the subject. */
  reference: string;
  /** A path, relative to the working directory. */
  file: string;
  /** The artifact type, which is the media type of the file as well. */
  type: string;
}

/**
 * Pushes a file as an artifact that refers to a manifest (image-spec v1.1, "Guidelines for Artifact Usage").
 * The same file attached twice is the same artifact. Throws `usage`, `file`, `not_found`, `denied`, `network`.
 */
export async function attachFile(job: JobContext, request: AttachRequest): Promise<Attached> {
  const { reference } = parseRegistryPlace(request.reference, "attach");
  if (!v.is(MediaTypeSchema, request.type)) {
    throw new OcibundleError(
      "usage",
      `--type: ${JSON.stringify(request.type)} is not a media type`,
      {
        hint: "use a media type such as application/spdx+json",
      },
    );
  }
  const session = openSession(job);
  const { signal, emit } = session;
  const layer = await describeFile(request, session.cwd, signal);
  const subject = await session
    .repository(reference)
    .headManifest(referenceTarget(reference), signal);
  if (subject === undefined) {
    throw new OcibundleError("not_found", `${formatReference(reference)}: manifest not found`, {
      hint: `run \`ocibundle ls ${formatRepository(reference)}\` for the tags of the repository`,
    });
  }
  const config = new TextEncoder().encode("{}");
  const configDescriptor = {
    mediaType: mediaTypes.ociEmpty,
    digest: digestOf(config),
    size: config.byteLength,
  };
  const { mediaType, digest: subjectDigest, size } = subject;
  const bytes = new TextEncoder().encode(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      artifactType: request.type,
      config: configDescriptor,
      layers: [layer.descriptor],
      subject: { mediaType, digest: subjectDigest, size },
    }),
  );
  const root = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes };
  const blobs: BlobToMove[] = [
    {
      descriptor: layer.descriptor,
      label: `file ${JSON.stringify(layer.title)}`,
      name: layer.title,
      group: "other",
      mismatchHint: "the file changed while it was sent; run the command again",
      source: () => Promise.resolve(layer.source),
    },
    {
      descriptor: configDescriptor,
      kind: "config",
      label: "config",
      group: "other",
      source: () => Promise.resolve({ kind: "bytes", bytes: config }),
    },
  ];
  await publish({ root, children: [], blobs }, session.writer(reference), {
    signal,
    emit,
    concurrency: session.flags.concurrency,
    tag: undefined,
  });
  return {
    reference: pinned(reference, root.digest),
    digest: root.digest,
    artifactType: request.type,
    subject: subjectDigest,
    file: { title: layer.title, digest: layer.descriptor.digest, size: layer.descriptor.size },
  };
}

/** The file as a blob. Throws `file`, `system`. */
async function describeFile(
  { file, type }: AttachRequest,
  cwd: string,
  signal: AbortSignal,
): Promise<{ descriptor: Descriptor; title: string; source: BlobSource }> {
  const path = resolve(cwd, file);
  const title = basename(path);
  const source: BlobSource = { kind: "file", path, offset: 0 };
  let size: number;
  const hash = createHash("sha256");
  try {
    const stats = await stat(path);
    if (stats.isDirectory()) {
      throw new OcibundleError("file", `"${file}" is a directory; attach takes one file`, {
        hint: "pack it into an archive first, such as with tar",
      });
    }
    if (!stats.isFile()) throw notAFile(file, stats);
    size = stats.size;
    if (size === 0) {
      throw new OcibundleError("file", `"${file}" is empty`, {
        hint: "specify a file that has content",
      });
    }
    for await (const chunk of blobChunks(source, { start: 0, end: size }, signal))
      hash.update(chunk);
  } catch (cause) {
    signal.throwIfAborted();
    throw cause instanceof OcibundleError ? cause : unreadable(file, cause);
  }
  const digest: Digest = `sha256:${hash.digest("hex")}`;
  const annotations = { "org.opencontainers.image.title": title };
  return { descriptor: { mediaType: type, digest, size, annotations }, title, source };
}
