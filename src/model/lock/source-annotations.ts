import { amended, OcibundleError, withContext } from "../../errors.ts";
import { formatS3Uri } from "../../s3/uri.ts";
import { shownUrl } from "../../web/url.ts";
import { type Annotations, originKeys } from "../format/chosen-annotations.ts";
import { parseSourceUri } from "../format/source-uri.ts";
import { quoted, type WeightEntry } from "../format/weight-entry.ts";
import type { WeightsLock } from "../format/weights-lock.ts";
import type { Session } from "../session/session.ts";
import { hubLicense } from "../weights/hub-source.ts";

/** Where one file came from. */
type Origin =
  | { kind: "hub"; model: string; revision: string }
  | { kind: "s3"; bucket: string; key: string; revision: string | undefined }
  | { kind: "web"; url: string; revision: string | undefined };

const flag = "--annotations-from-source";
const shown = 5;

/**
 * What a lock says of where its weights came from, as annotations, without those that the user gives: where files
 * are from several sources or revisions there is no such value, and nothing is chosen among them. The hub is
 * asked for the license. Throws `usage`; what the hub answers.
 */
export async function sourceAnnotations(
  session: Session,
  lock: WeightsLock,
  on: string,
  given: Annotations,
): Promise<Annotations> {
  const wants = (key: keyof typeof originKeys): boolean => given[originKeys[key]] === undefined;
  const found: Record<string, string> = {};
  const files = lock.files.map((entry) => ({ entry, origin: originOf(entry) }));
  const origins = files.flatMap(({ origin }) => origin ?? []);
  const key = (["source", "revision"] as const).find(wants);
  const lacking = files.find(({ origin }) => origin === undefined);
  if (lacking !== undefined && key !== undefined) {
    throw new OcibundleError(
      "usage",
      `${flag}: ${on} has no source for weight ${quoted(lacking.entry.name)}`,
      { hint: `lock the weights from their source, ${wayOut(key)}` },
    );
  }
  const add = (name: keyof typeof originKeys, value: string | undefined): void => {
    if (value !== undefined) found[originKeys[name]] = value;
  };
  if (wants("source")) add("source", only("source", sourcesOf(origins)));
  if (wants("revision")) add("revision", revisionOf(session, origins));
  if (wants("licenses") && lacking === undefined) {
    add("licenses", await licensesOf(session, origins));
  }
  if (wants("created")) add("created", lock.created);
  return found;
}

const wayOut = (key: "source" | "revision"): string =>
  `or add --annotation ${originKeys[key]}=VALUE`;

function only(key: "source" | "revision", values: readonly string[]): string | undefined {
  const [value, ...others] = values;
  if (others.length === 0) return value;
  const names = values.slice(0, shown).map((text) => quoted(text));
  const more = values.length > shown ? ` and ${values.length - shown} more` : "";
  throw new OcibundleError(
    "usage",
    `${flag}: the weights have ${values.length} ${key}s: ${names.join(", ")}${more}`,
    { hint: `push them separately, ${wayOut(key)}` },
  );
}

/** Undefined for a file of this machine. Throws `usage` for an address that can't be one of a lock. */
function originOf({ name, source, sourceVersion }: WeightEntry): Origin | undefined {
  if (typeof source !== "string") return undefined;
  try {
    const address = parseSourceUri(source);
    const revision = typeof sourceVersion === "string" ? sourceVersion : undefined;
    switch (address?.kind) {
      case "hub":
        return { kind: "hub", model: address.model, revision: address.revision };
      case "s3":
        return { kind: "s3", bucket: address.bucket, key: address.key, revision };
      case "web":
        return { kind: "web", url: shownUrl(address.url.href), revision };
      case undefined:
        return undefined;
    }
  } catch (error) {
    throw withContext(`weight ${quoted(name)}`, error);
  }
}

/** Each source once: a model, a URL, or the directory that the objects of a bucket share. */
function sourcesOf(origins: readonly Origin[]): string[] {
  const keys = new Map<string, string[]>();
  const others = new Set<string>();
  for (const origin of origins) {
    if (origin.kind === "hub") others.add(`hf://${origin.model}`);
    else if (origin.kind === "web") others.add(origin.url);
    else keys.set(origin.bucket, [...(keys.get(origin.bucket) ?? []), origin.key]);
  }
  const buckets = [...keys].map(([bucket, all]) => formatS3Uri(bucket, sharedPrefix(all)));
  return [...others, ...buckets];
}

/** A single key as it is; of several, the directory that has them all. */
function sharedPrefix([first = "", ...others]: readonly string[]): string {
  let parts = first.split("/");
  if (others.length > 0) parts = parts.slice(0, -1);
  for (const other of others) {
    const own = other.split("/");
    const end = parts.findIndex((part, at) => own[at] !== part || at === own.length - 1);
    if (end !== -1) parts = parts.slice(0, end);
  }
  return parts.join("/");
}

/** The commit of a model, or the version of a file that is all there is. Several files elsewhere have none. */
function revisionOf({ emit }: Session, origins: readonly Origin[]): string | undefined {
  const isHub = origins.every(({ kind }) => kind === "hub");
  const revisions = [...new Set(origins.flatMap(({ revision }) => revision ?? []))];
  if (isHub) return only("revision", revisions);
  if (origins.length === 1 && revisions.length === 1) return revisions[0];
  emit({
    type: "warning",
    message: `${flag}: the files have no common revision: the annotation is omitted`,
  });
  return undefined;
}

/** What the model cards of all sources say. Undefined, with a warning, where one of them says nothing. */
async function licensesOf(
  session: Session,
  origins: readonly Origin[],
): Promise<string | undefined> {
  const models = new Map(
    origins.flatMap((origin) =>
      origin.kind === "hub" ? [[`${origin.model}@${origin.revision}`, origin] as const] : [],
    ),
  );
  const found = new Set<string>();
  for (const [name, { model, revision }] of models) {
    const license = await licenseOf(session, { model, revision });
    if (license === undefined) {
      const message = `hf://${name}: the hub lists no license: the annotation is omitted`;
      session.emit({ type: "warning", message });
      return undefined;
    }
    found.add(license);
  }
  // Of weights elsewhere nothing is known.
  if (found.size === 0 || origins.some(({ kind }) => kind !== "hub")) return undefined;
  return [...found].toSorted((a, b) => (a < b ? -1 : 1)).join(" AND ");
}

async function licenseOf(
  session: Session,
  address: { model: string; revision: string },
): Promise<string | undefined> {
  try {
    return await hubLicense(session, { ...address, path: "" });
  } catch (error) {
    if (!(error instanceof OcibundleError)) throw error;
    throw withContext(
      flag,
      amended(error, {
        hint: `${error.hint === undefined ? "" : `${error.hint}, or `}set the license with --annotation ${originKeys.licenses}=VALUE`,
      }),
    );
  }
}
