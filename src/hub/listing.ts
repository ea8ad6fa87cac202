import * as v from "valibot";
import { OcibundleError } from "../errors.ts";
import { readCapped } from "../http/message/body.ts";
import type { HttpResponse } from "../http/message/message.ts";
import { parseNextLink } from "../registry/link.ts";
import type { HubClient } from "./client.ts";
import { isSafePath } from "../remote/path.ts";
import { formatHubUri, type HubAddress } from "./uri.ts";

/** A file of a model at a commit, as the hub lists it. */
export interface HubFile {
  /** Relative to the model, with `/` between its parts. */
  path: string;
  /** In bytes. */
  size: number;
  /** Of its content, where the hub says it: of the files that Git LFS stores. */
  digest: `sha256:${string}` | undefined;
  /** Git's own identifier of the content (a SHA-1 of a header and the content), where it is one. */
  gitId: string | undefined;
}

/** The files of a model at one commit, as the hub lists them. */
export interface HubListing {
  model: string;
  /** What the hub calls it: 40 hex digits on Hugging Face. */
  commit: string;
  /** As the hub writes it (`apache-2.0`), where the model's card names one. */
  license: string | undefined;
  files: HubFile[];
}

/** A page is larger than this for no hub, in bytes; one has 1,000 entries. */
const maxPageBytes = 4 * 1024 * 1024;
const maxEntries = 100_000;
const maxPages = 10_000;

const RevisionSchema = v.looseObject({
  // 40 hex digits on Hugging Face; hubs that stand before other stores have others.
  sha: v.pipe(v.string(), v.regex(/^[A-Za-z0-9][\w-]{0,127}$/)),
  tags: v.fallback(v.optional(v.array(v.unknown())), undefined),
});

const SizeSchema = v.pipe(v.number(), v.safeInteger(), v.minValue(0));

const EntrySchema = v.variant("type", [
  v.looseObject({ type: v.literal("directory"), path: v.string() }),
  v.looseObject({
    type: v.literal("file"),
    path: v.string(),
    size: SizeSchema,
    oid: v.optional(v.nullable(v.string())),
    lfs: v.optional(v.nullable(v.looseObject({ oid: v.string(), size: v.optional(SizeSchema) }))),
  }),
]);

const PageSchema = v.array(v.unknown());

/** The words that name no license. */
const noLicense = new Set(["other", "unknown"]);

/** The one license among a model's tags. A text that is no identifier is none: it is anybody's. */
function licenseOf(tags: readonly unknown[] | undefined): string | undefined {
  const found = (tags ?? []).flatMap((tag) =>
    typeof tag === "string" && tag.startsWith("license:") ? [tag.slice("license:".length)] : [],
  );
  const [license, ...others] = found;
  if (license === undefined || others.length > 0 || noLicense.has(license)) return undefined;
  return /^[A-Za-z0-9][A-Za-z0-9.+-]{0,63}$/.test(license) ? license : undefined;
}

const apiOf = ({ endpoint }: HubClient, model: string): string =>
  `${endpoint.href.replace(/\/$/, "")}/api/models/${model}`;

/** What a revision stands for now: one request. Throws as `listModel`. */
export async function readRevision(
  client: HubClient,
  address: HubAddress,
  signal: AbortSignal,
): Promise<Pick<HubListing, "commit" | "license">> {
  const { model, revision } = address;
  const name = formatHubUri({ ...address, path: "" });
  const url = new URL(`${apiOf(client, model)}/revision/${encodeURIComponent(revision)}`);
  const asked = { name, model, accept: [200], maxDocument: maxPageBytes, signal };
  const answer = await document(await client.get({ ...asked, url }), name);
  const { sha, tags } = read(RevisionSchema, answer, name, "the revision");
  return { commit: sha, license: licenseOf(tags) };
}

/**
 * The files of a model at the commit that a revision stands for now. The commit is asked for first, so that
 * all that follows is about one state of the model. Throws `not_found`, `denied`; `network` for a listing that
 * breaks the rules.
 */
export async function listModel(
  client: HubClient,
  address: HubAddress,
  signal: AbortSignal,
): Promise<HubListing> {
  const { model } = address;
  const name = formatHubUri({ ...address, path: "" });
  const asked = { name, model, accept: [200], maxDocument: maxPageBytes, signal };
  const { commit, license } = await readRevision(client, address, signal);
  const files: HubFile[] = [];
  const seen = new Set<string>();
  let count = 0;
  let next: URL | undefined = new URL(
    `${apiOf(client, model)}/tree/${commit}?recursive=true&expand=false`,
  );
  while (next !== undefined) {
    if (seen.has(next.href) || seen.size >= maxPages) throw broken(name, "does not end");
    seen.add(next.href);
    const response: HttpResponse = await client.get({ ...asked, url: next });
    const page = read(PageSchema, await document(response, name), name, "the listing");
    count += page.length;
    if (count > maxEntries) throw broken(name, `has more than ${maxEntries} entries`);
    files.push(...page.flatMap((entry) => fileOf(entry, name)));
    next = nextPage(response, client.endpoint, name);
  }
  const paths = new Set<string>();
  for (const { path } of files) {
    if (paths.has(path)) throw broken(name, `has ${JSON.stringify(path)} twice`);
    paths.add(path);
  }
  return { model, commit, license, files };
}

async function document(response: HttpResponse, name: string): Promise<unknown> {
  const bytes = await readCapped(response, maxPageBytes, name);
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
  } catch (cause) {
    throw broken(name, "is not JSON", cause);
  }
}

function read<T extends v.GenericSchema>(
  schema: T,
  input: unknown,
  name: string,
  what: string,
): v.InferOutput<T> {
  const result = v.safeParse(schema, input);
  if (result.success) return result.output;
  throw broken(name, `cannot be read: ${what} does not match the hub's API`);
}

function fileOf(input: unknown, name: string): HubFile[] {
  const result = v.safeParse(EntrySchema, input);
  const path = (input as { path?: unknown } | null)?.path;
  const label = typeof path === "string" ? JSON.stringify(path.slice(0, 200)) : "an entry";
  if (typeof path !== "string" || !isSafePath(path)) {
    throw broken(name, `has ${label}, which is not a path below the model`);
  }
  if (!result.success) throw broken(name, `has ${label} with an invalid type or size`);
  const entry = result.output;
  if (entry.type === "directory") return [];
  const { size, oid, lfs } = entry;
  const sha256 = /^(?:sha256:)?([0-9a-f]{64})$/i.exec(lfs?.oid ?? "")?.[1]?.toLowerCase();
  return [
    {
      path,
      size: lfs?.size ?? size,
      digest: sha256 === undefined ? undefined : `sha256:${sha256}`,
      gitId: lfs || !/^[0-9a-f]{40}$/.test(oid ?? "") ? undefined : (oid ?? undefined),
    },
  ];
}

/** Where a listing goes on; undefined at its end. It goes on at the endpoint, or it is refused. */
function nextPage({ headers, url }: HttpResponse, endpoint: URL, name: string): URL | undefined {
  let next: URL;
  try {
    const link = parseNextLink(headers.get("link"));
    if (link === undefined) return undefined;
    next = new URL(link, url);
  } catch (cause) {
    throw broken(name, "has an invalid link to the next page", cause);
  }
  next.username = "";
  next.password = "";
  if (next.origin !== endpoint.origin)
    throw broken(name, `continues on another host, ${next.host}`);
  return next;
}

const broken = (name: string, why: string, cause?: unknown): OcibundleError =>
  new OcibundleError("network", `the hub's listing ${why}`, {
    subject: name,
    hint: "check that HF_ENDPOINT is a hub",
    cause,
  });
