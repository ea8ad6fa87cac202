import { OcibundleError } from "../errors.ts";
import type { ByteRange, ReadRange } from "../oci/content.ts";
import { formatRange } from "../registry/content-range.ts";
import { partAnswer } from "../remote/part-answer.ts";
import type { PartAnswer } from "../remote/part.ts";
import { readAhead } from "../remote/read-ahead.ts";
import type { Slots } from "../remote/slots.ts";
import type { S3Client } from "./client.ts";
import { etagOf } from "./listing.ts";
import { isSteady } from "../remote/steady.ts";
import { statusOf } from "../remote/status-error.ts";
import { formatS3Uri } from "./uri.ts";

/** What a store answers to whoever has too many connections or requests. */
const tooMany: ReadonlySet<number> = new Set([429, 503]);

/** One state of an object. */
export interface S3Version {
  /** In bytes. */
  size: number;
  /** With its quotes. */
  etag: string | undefined;
  /** In buckets with versions. */
  versionId: string | undefined;
  /** As the store writes it, to the second. */
  modified: string | undefined;
  /** Whether one of these tells this state from others for certain. */
  isSteady: boolean;
  /** Of its content, where the store says it. */
  digest: `sha256:${string}` | undefined;
}

/** Amazon's are shorter than this, and any text that a URL can have. */
const versionIdPattern = /^[\x21-\x7e]{1,1024}$/;

/**
 * The state that an object is in now, by HEAD; undefined where there is none. A version that is none is passed
 * over with a warning: it would go into locks and URLs. Throws as `S3Client.ask`.
 */
export async function headObject(
  client: S3Client,
  { bucket, key }: { bucket: string; key: string },
  { signal, warn }: { signal: AbortSignal; warn(message: string): void },
): Promise<S3Version | undefined> {
  const { status, headers } = await client.ask({
    method: "HEAD",
    bucket,
    key,
    headers: { "x-amz-checksum-mode": "ENABLED" },
    name: formatS3Uri(bucket, key),
    accept: [200, 404],
    signal,
  });
  if (status === 404) return undefined;
  const length = headers.get("content-length") ?? "";
  if (!/^\d{1,16}$/.test(length) || !Number.isSafeInteger(Number(length))) {
    throw new OcibundleError("network", "the object store reports an invalid size", {
      subject: formatS3Uri(bucket, key),
    });
  }
  // "null" is that of a bucket without versions, and of what was there before it had some.
  const named = headers.get("x-amz-version-id") ?? "null";
  const isUsable = named === "null" || versionIdPattern.test(named);
  if (!isUsable) warn(`${formatS3Uri(bucket, key)}: its version is invalid and is ignored`);
  const isVersioned = isUsable && named !== "null";
  const etag = etagOf(headers.get("etag"));
  return {
    size: Number(length),
    etag,
    versionId: isVersioned ? named : undefined,
    modified: headers.get("last-modified") ?? undefined,
    isSteady: etag !== undefined || isVersioned || isSteady(headers),
    digest: digestOf(headers),
  };
}

/** The checksum of an object that was put in one piece; that of parts is not the hash of the content. */
function digestOf(headers: Headers): `sha256:${string}` | undefined {
  const checksum = headers.get("x-amz-checksum-sha256") ?? "";
  const type = headers.get("x-amz-checksum-type") ?? "FULL_OBJECT";
  if (type !== "FULL_OBJECT" || !/^[A-Za-z0-9+/]{43}=$/.test(checksum)) return undefined;
  return `sha256:${Buffer.from(checksum, "base64").toString("hex")}`;
}

/** What tells a state from others for certain: `etag:"…"` or `version:ID`; undefined where nothing does. */
export const versionText = ({
  etag,
  versionId,
}: Pick<S3Version, "etag" | "versionId">): string | undefined =>
  etag !== undefined
    ? `etag:${etag}`
    : versionId === undefined
      ? undefined
      : `version:${versionId}`;

/**
 * Opens ranges of one version of an object. Rejects with `integrity` where the object is another one by now:
 * parts of two are never mixed.
 */
export function objectOpener(
  client: S3Client,
  { bucket, key }: { bucket: string; key: string },
  version: S3Version,
  slots: Slots,
): ReadRange {
  const name = formatS3Uri(bucket, key);
  const { size, etag, versionId, modified } = version;
  const changed = (): OcibundleError =>
    new OcibundleError("integrity", "the object changed while it was read", {
      subject: name,
      hint: "run the command again when no program writes to it",
    });
  const open = async (range: ByteRange, signal: AbortSignal): Promise<PartAnswer> => {
    const response = await client.ask({
      method: "GET",
      bucket,
      key,
      query: versionId === undefined ? {} : { versionId },
      headers: {
        range: formatRange(range),
        ...(etag === undefined ? {} : { "if-match": etag }),
      },
      name,
      accept: [200, 206],
      large: true,
      signal,
    });
    const { headers } = response;
    const has = etagOf(headers.get("etag"));
    if (
      (etag !== undefined && has !== undefined && has !== etag) ||
      (etag === undefined && (headers.get("last-modified") ?? undefined) !== modified)
    ) {
      void response.body?.cancel().catch(() => undefined);
      throw changed();
    }
    return partAnswer(response, { range, size, name, server: "object store" });
  };
  return readAhead({
    open,
    slots,
    name,
    inOneAnswer: !version.isSteady,
    goesOn: version.isSteady,
    isTooMany: (error) => tooMany.has(statusOf(error) ?? 0),
  });
}
