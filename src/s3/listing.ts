import { OcibundleError } from "../errors.ts";
import { readCapped } from "../http/message/body.ts";
import { isSafePath } from "../remote/path.ts";
import type { S3Client } from "./client.ts";
import { formatS3Uri } from "./uri.ts";
import { readXml, type XmlNode } from "./xml.ts";

/** An object as a listing has it. */
export interface S3Object {
  key: string;
  /** In bytes. */
  size: number;
  /** With its quotes; undefined where the store has none. */
  etag: string | undefined;
}

/** A page is larger than this for no store, in bytes: one has 1,000 keys of 1,024 bytes, encoded. */
const maxPageBytes = 8 * 1024 * 1024;
const maxObjects = 100_000;
const maxPages = 10_000;

/**
 * The objects below a directory of a bucket. Keys that end in a slash are the directories that some programs
 * make; they are passed over, with a warning where they have bytes. Throws `file` for a key that is not the path
 * of a file, `network` for a listing that breaks the rules.
 */
export async function listObjects(
  client: S3Client,
  { bucket, key: directory }: { bucket: string; key: string },
  { signal, warn, atMost }: { signal: AbortSignal; warn(message: string): void; atMost?: number },
): Promise<S3Object[]> {
  const name = formatS3Uri(bucket, directory);
  const prefix = directory === "" ? "" : `${directory}/`;
  const objects: S3Object[] = [];
  const tokens = new Set<string>();
  let token: string | undefined;
  do {
    const response = await client.ask({
      method: "GET",
      bucket,
      key: "",
      query: {
        "list-type": "2",
        "encoding-type": "url",
        "max-keys": String(atMost ?? 1000),
        ...(prefix === "" ? {} : { prefix }),
        ...(token === undefined ? {} : { "continuation-token": token }),
      },
      name,
      accept: [200],
      maxDocument: maxPageBytes,
      signal,
    });
    const page = parsed(await readCapped(response, maxPageBytes, name), name);
    const isEncoded = page.text("EncodingType") === "url";
    for (const node of page.all("Contents")) {
      const object = objectOf(node, isEncoded, prefix, name);
      if (object.key.endsWith("/")) {
        if (object.size > 0) warn(`${formatS3Uri(bucket, object.key)} ends in a slash: skipped`);
        continue;
      }
      if (!isSafePath(object.key.slice(prefix.length))) throw notAPath(object.key, name);
      objects.push(object);
    }
    if (objects.length > maxObjects) throw broken(name, `has more than ${maxObjects} objects`);
    if (atMost !== undefined && objects.length >= atMost) return objects;
    const isCut = page.text("IsTruncated") === "true";
    token = isCut ? page.text("NextContinuationToken") : undefined;
    if (isCut && !token) throw broken(name, "is truncated without a continuation token");
    if (token !== undefined && (tokens.has(token) || tokens.size >= maxPages)) {
      throw broken(name, "does not end");
    }
    tokens.add(token ?? "");
  } while (token !== undefined);
  const keys = new Set<string>();
  for (const { key } of objects) {
    if (keys.has(key)) throw broken(name, `has ${JSON.stringify(key)} twice`);
    keys.add(key);
  }
  return objects;
}

function parsed(bytes: Uint8Array, name: string): XmlNode {
  let page: XmlNode;
  try {
    page = readXml(bytes);
  } catch (cause) {
    throw broken(name, "is not XML", cause);
  }
  if (page.name === "ListBucketResult") return page;
  throw broken(name, "does not match the API");
}

function objectOf(node: XmlNode, isEncoded: boolean, prefix: string, name: string): S3Object {
  const text = node.text("Key");
  const key = text !== undefined && isEncoded ? decoded(text) : text;
  const size = node.text("Size") ?? "";
  if (key === undefined || !key.startsWith(prefix)) {
    throw broken(name, `has ${JSON.stringify(text?.slice(0, 200))}, which was not requested`);
  }
  if (!/^\d{1,16}$/.test(size) || !Number.isSafeInteger(Number(size))) {
    throw broken(name, `has ${JSON.stringify(key.slice(0, 200))} with an invalid size`);
  }
  return { key, size: Number(size), etag: etagOf(node.text("ETag")) };
}

/** An ETag with its quotes, some of which stores leave out of listings; undefined for one that says nothing. */
export function etagOf(text: string | null | undefined): string | undefined {
  const bare = text?.trim().replaceAll(/^(?:W\/)?"?|"?$/g, "") ?? "";
  return /^[\x21\x23-\x7e]{1,256}$/.test(bare) ? `"${bare}"` : undefined;
}

/** What `encoding-type=url` made of a key: percent-encoding, with a plus for a space. */
function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text.replaceAll("+", " "));
  } catch {
    return undefined;
  }
}

const notAPath = (key: string, name: string): OcibundleError =>
  new OcibundleError(
    "file",
    `the object ${JSON.stringify(key.slice(0, 200))} has a key that is not a valid file path`,
    { subject: name, hint: "use a prefix that excludes it" },
  );

const broken = (name: string, why: string, cause?: unknown): OcibundleError =>
  new OcibundleError("network", `the listing ${why}`, {
    subject: name,
    hint: "check that AWS_ENDPOINT_URL is an S3 object store",
    cause,
  });
