import { OcibundleError } from "../../errors.ts";
import { type HubAddress, isHubUri, parseHubUri } from "../../hub/uri.ts";
import { isS3Uri, parseS3Uri, type S3Address } from "../../s3/uri.ts";
import { isWebUrl, parseWebUrl, shownUrl, type WebAddress } from "../../web/url.ts";

/** Where weights are that are not on this machine. */
export type SourceAddress =
  | ({ kind: "hub" } & HubAddress)
  | ({ kind: "s3" } & S3Address)
  | ({ kind: "web" } & WebAddress);

/** Whether a text is the address of a source that weights are read from. */
export const isSourceUri = (text: string): boolean =>
  isHubUri(text) || isS3Uri(text) || isWebUrl(text);

/** A source as it may be shown and locked: a query may be a secret. */
export const shownSource = (text: string): string => (isWebUrl(text) ? shownUrl(text) : text);

/** The address of a source, or undefined for a path. Throws `usage` for a URI that can't be read from. */
export function parseSourceUri(text: string): SourceAddress | undefined {
  if (isHubUri(text)) return { kind: "hub", ...parseHubUri(text) };
  if (isS3Uri(text)) return { kind: "s3", ...parseS3Uri(text) };
  if (isWebUrl(text)) return { kind: "web", ...parseWebUrl(text) };
  const scheme = schemeOf(text);
  if (scheme === undefined) return undefined;
  throw new OcibundleError(
    "usage",
    `${JSON.stringify(text)} is not a source: use a path, hf://, s3:// or https://`,
    { hint: hints.get(scheme) ?? "download it first, then use the file or directory" },
  );
}

/** Refuses a URI where a path is wanted. Throws `usage`. */
export function refuseUri(text: string): void {
  const scheme = schemeOf(text);
  if (scheme === undefined) return;
  throw new OcibundleError("usage", `${JSON.stringify(shownSource(text))} is not a local path`, {
    hint:
      hints.get(scheme) ??
      (isSourceUri(text)
        ? "use a source in place of a directory, such as `ocibundle lock hf://ORG/MODEL`"
        : "download it first, then use the file"),
  });
}

const schemeOf = (text: string): string | undefined =>
  /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();

const hints: ReadonlyMap<string, string> = new Map(
  Object.entries({
    file: "use the path itself",
    gs: "use s3://BUCKET/PREFIX, with AWS_ENDPOINT_URL=https://storage.googleapis.com and an HMAC key",
  }),
);
