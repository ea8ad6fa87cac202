import type { IncomingHttpHeaders } from "node:http";
import { digestHex } from "../oci/digest.ts";
import { type Answer, refusal } from "./answer.ts";
import type { HubFile, HubSnapshot, HubSource } from "./hub-source.ts";
import { askedRange } from "./range.ts";
import { missingFile } from "./repository-answers.ts";
import { encodePath } from "./request.ts";

/** A request for a file of a snapshot. */
export interface ResolveRequest {
  isHead: boolean;
  headers: IncomingHttpHeaders;
  /** As it was asked for: a tag, or a commit. */
  revision: string;
  /** Below the model's root, decoded. */
  path: string;
  signal: AbortSignal;
}

const typeOf = (path: string): string => {
  if (path.endsWith(".json")) return "application/json";
  return /\.(?:txt|md|jinja|py|yaml|yml)$/.test(path)
    ? "text/plain; charset=utf-8"
    : "application/octet-stream";
};

/**
 * A file of a model. A HEAD of a tag's file leads to that of its commit: huggingface_hub asks for the bytes
 * where the HEAD ended, so a tag that moves between the two gives it no other file under the first one's name.
 */
export async function resolveFile(
  source: HubSource,
  snapshot: HubSnapshot,
  { isHead, headers, revision, path, signal }: ResolveRequest,
): Promise<Answer> {
  const file = snapshot.byPath.get(path);
  if (file === undefined) throw missingFile(snapshot, path);
  const described = {
    ...headersOf(file),
    "x-repo-commit": snapshot.commit,
    "content-type": typeOf(path),
  };
  if (isHead && revision !== snapshot.commit) {
    const location = `/${encodePath(snapshot.id)}/resolve/${snapshot.commit}/${encodePath(path)}`;
    const length = { "content-length": "0", "x-linked-size": String(file.size) };
    return { status: 307, headers: { ...described, ...length, location } };
  }
  return sendFile(source, { snapshot, file }, { isHead, headers, described, signal });
}

/** A file's name, size and the ways to ask for it. */
const headersOf = ({ digest }: HubFile): Record<string, string> => ({
  etag: `"${digestHex(digest)}"`,
  "accept-ranges": "bytes",
});

interface Sending {
  isHead: boolean;
  headers: IncomingHttpHeaders;
  /** What every answer for the file has. */
  described: Record<string, string>;
  signal: AbortSignal;
}

/** Whether a precondition lists the file's ETag, whatever its strength. */
const lists = (header: string, hex: string): boolean =>
  header.trim() === "*" || header.includes(`"${hex}"`);

/** The file or a range of it, as the preconditions of the request allow. */
export async function sendFile(
  source: HubSource,
  { snapshot, file }: { snapshot: HubSnapshot; file: HubFile },
  { isHead, headers, described, signal }: Sending,
): Promise<Answer> {
  const { size } = file;
  const hex = digestHex(file.digest);
  const isSame = (header: string | undefined): boolean =>
    header !== undefined && lists(header, hex);
  if (headers["if-match"] !== undefined && !isSame(headers["if-match"])) {
    return refusal(412, "the digest of the file has changed", { headers: described });
  }
  if (isSame(headers["if-none-match"])) return { status: 304, headers: described };
  const whole = { ...described, "content-length": String(size) };
  if (isHead) return { status: 200, headers: whole };
  // What a client has of a file of which wrong bytes were sent is not to be gone on from.
  const ranged = !source.isTainted(file) && isSameOrUnasked(headers["if-range"], hex);
  const asked = askedRange(ranged ? headers.range : undefined, size);
  if (size === 0) {
    // A 416 ends clients that begin with bytes=0-0; this satisfies them (hf-hub 0.5, huggingface.js).
    const range = headers.range === undefined ? {} : { "content-range": "bytes 0-0/0" };
    return { status: 200, headers: { ...whole, ...range } };
  }
  if (asked.kind === "none") {
    return refusal(416, `the file has ${size} bytes`, {
      headers: {
        ...described,
        "content-range": `bytes */${size}`,
        "content-type": "application/json",
      },
    });
  }
  const range = asked.kind === "whole" ? { start: 0, end: size } : asked.range;
  const body = await source.read(snapshot, file, range, signal);
  if (asked.kind === "whole") return { status: 200, headers: whole, body };
  return {
    status: 206,
    headers: {
      ...described,
      "content-length": String(range.end - range.start),
      "content-range": `bytes ${range.start}-${range.end - 1}/${size}`,
    },
    body,
  };
}

const isSameOrUnasked = (ifRange: string | string[] | undefined, hex: string): boolean =>
  ifRange === undefined || (typeof ifRange === "string" && ifRange.trim() === `"${hex}"`);
