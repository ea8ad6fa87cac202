import type { IncomingHttpHeaders } from "node:http";
import * as v from "valibot";
import { digestOf, isDigest } from "../oci/digest.ts";
import { type Answer, json, refusal } from "./answer.ts";
import { findGguf, ggufManifest, ollamaConfig } from "./gguf.ts";
import { type HubSnapshot, type HubSource, NotOnHub } from "./hub-source.ts";
import { commits, modelInfo, pathsInfo, refs, tree } from "./repository-answers.ts";
import { joined, type Target } from "./request.ts";
import { resolveFile, sendFile } from "./resolve.ts";

/** A request that was let in, as far as routes look at it. */
export interface HubRequest {
  method: "GET" | "HEAD" | "POST";
  target: Target;
  headers: IncomingHttpHeaders;
  /** Reads the body; it is limited. */
  body(): Promise<string>;
  /** Aborted when the client is gone. */
  signal: AbortSignal;
}

/** Which models there are, and whether they are listed. */
export interface RouteOptions {
  source: HubSource;
  /** Whether clients are told all ids. */
  list: boolean;
}

/** Names of a request's kind, for metrics and logs. */
export type RouteName = "api" | "resolve" | "v2" | "other";

/** What a request is for, and how it is answered. */
export interface Routed {
  route: RouteName;
  answer(request: HubRequest): Promise<Answer> | Answer;
  /** POST is allowed in one place. */
  methods: readonly string[];
}

const reading = ["GET", "HEAD"];
const repositoryVerbs = new Set([
  "revision",
  "tree",
  "paths-info",
  "refs",
  "commits",
  "auth-check",
]);

/** What a target stands for, or undefined for nothing that a hub has. */
export function route(target: Target, { source, list }: RouteOptions): Routed | undefined {
  const { segments } = target;
  const get = (name: RouteName, answer: Routed["answer"]): Routed => ({
    route: name,
    answer,
    methods: reading,
  });
  const [first, second] = segments;
  if (first === "v2") return v2Route(segments.slice(1), source, get);
  if (first === "api") {
    if (second === "whoami-v2") {
      return get("api", () =>
        json({ type: "user", name: "ocibundle", fullname: "", orgs: [], auth: {} }),
      );
    }
    if (second !== "models") return undefined;
    if (joined(segments.slice(2)) === "") {
      return list ? get("api", () => listModels(source)) : undefined;
    }
    return apiRoute(segments.slice(2), source);
  }
  const at = [1, 2].find((index) => segments[index] === "resolve" || segments[index] === "raw");
  if (at === undefined || segments.length < at + 3) return undefined;
  const id = segments.slice(0, at).join("/");
  const revision = segments[at + 1] ?? "";
  const path = segments.slice(at + 2).join("/");
  return get("resolve", async ({ method, headers, signal }) => {
    const snapshot = await source.snapshot(id, revision);
    const isHead = method === "HEAD";
    return resolveFile(source, snapshot, { isHead, headers, revision, path, signal });
  });
}

const listModels = (source: HubSource): Answer =>
  json(source.ids().map((id) => ({ id, modelId: id, private: false, tags: [] })));

/** `ID`, or `ID/VERB/…`, where an id has one part or two. */
function apiRoute(segments: readonly string[], source: HubSource): Routed | undefined {
  const parts = [2, 1].find((count) => repositoryVerbs.has(segments[count] ?? ""));
  if (parts === undefined && joined(segments).split("/").length > 2) return undefined;
  const id = parts === undefined ? joined(segments) : segments.slice(0, parts).join("/");
  const [verb, revision = "main", ...rest] = parts === undefined ? [] : segments.slice(parts);
  const snapshot = (): Promise<HubSnapshot> =>
    source.snapshot(id, revision === "" ? "main" : revision);
  const of = (answer: Routed["answer"], methods = reading): Routed => ({
    route: "api",
    answer,
    methods,
  });
  switch (verb) {
    case undefined:
    case "revision":
      return of(async () => {
        const found = await snapshot();
        return json(modelInfo(found), 200, { "x-repo-commit": found.commit });
      });
    case "tree":
      return of(async ({ target }) => tree(await snapshot(), joined(rest), target.query));
    case "paths-info":
      return of(
        async (request) => {
          const { paths, expand } = askedPaths(
            await request.body(),
            request.headers["content-type"] ?? "",
          );
          return pathsInfo(await snapshot(), paths, expand);
        },
        ["POST"],
      );
    case "refs":
      return of(({ target }) => refs(source, id, target.query));
    case "commits":
      return of(async () => commits(await snapshot()));
    case "auth-check":
      return of(async () => {
        await source.snapshot(id, "main");
        return json({});
      });
    default:
      return undefined;
  }
}

const PathsSchema = v.object({
  paths: v.union([v.string(), v.array(v.string())]),
  expand: v.optional(v.boolean(), false),
});

/** The paths that a POST asks for: a form, or JSON. Throws what is answered with 400. */
function askedPaths(body: string, type: string): { paths: string[]; expand: boolean } {
  if (type.includes("json")) {
    const said = v.safeParse(PathsSchema, parsed(body));
    if (!said.success) throw new SyntaxError("paths must be a list of strings");
    const { paths, expand } = said.output;
    return { paths: typeof paths === "string" ? [paths] : paths, expand };
  }
  const form = new URLSearchParams(body);
  return { paths: form.getAll("paths"), expand: form.get("expand")?.toLowerCase() === "true" };
}

function parsed(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch {
    throw new SyntaxError("the body is not JSON");
  }
}

function v2Route(
  segments: readonly string[],
  source: HubSource,
  get: (name: RouteName, answer: Routed["answer"]) => Routed,
): Routed | undefined {
  if (joined(segments) === "") return get("v2", () => json({}));
  const at = [2, 1].find((index) => ["manifests", "blobs"].includes(segments[index] ?? ""));
  const last = segments[(at ?? 0) + 1] ?? "";
  if (at === undefined || segments.length !== at + 2 || last === "") return undefined;
  const id = segments.slice(0, at).join("/");
  if (segments[at] === "manifests") return get("v2", () => manifestOf(source, id, last));
  return get("v2", (request) => blobOf(source, id, last, request));
}

/** The model that a tag of `v2` means: a quantization of `main`, else the GGUF file of a revision. */
async function manifestOf(source: HubSource, id: string, tag: string): Promise<Answer> {
  const main = await source.snapshot(id, "main");
  if (tag === "latest" || tag === "main") return ggufManifest(main, findGguf(main, undefined));
  const file = findGguf(main, tag);
  if (file !== undefined) return ggufManifest(main, file);
  const other = await source.snapshot(id, tag).catch((error: unknown) => {
    if (error instanceof NotOnHub && error.kind === "revision") return main;
    throw error;
  });
  return ggufManifest(other, other === main ? undefined : findGguf(other, undefined));
}

async function blobOf(
  source: HubSource,
  id: string,
  digest: string,
  { method, headers, signal }: HubRequest,
): Promise<Answer> {
  if (!isDigest(digest)) return refusal(404, `"${digest}" is not a digest`);
  const snapshot = await source.snapshot(id, "main");
  const file = snapshot.files.find((candidate) => candidate.digest === digest);
  // Ollama wants a Location in any answer for a blob; it may be where the blob is already.
  const host = headers.host ?? "";
  const described = {
    "content-type": "application/octet-stream",
    "docker-content-digest": digest,
    location: `http://${host}/v2/${id}/blobs/${digest}`,
  };
  if (file !== undefined) {
    const isHead = method === "HEAD";
    const ranges = { ...described, "accept-ranges": "bytes", etag: `"${digest.slice(7)}"` };
    return sendFile(source, { snapshot, file }, { isHead, headers, described: ranges, signal });
  }
  for (const gguf of snapshot.files.filter(({ path }) => /\.gguf$/i.test(path))) {
    const config = ollamaConfig(gguf);
    if (digestOf(config) !== digest) continue;
    const length = { "content-length": String(config.byteLength) };
    return { status: 200, headers: { ...described, ...length }, body: config };
  }
  return refusal(404, `${id} has no blob ${digest}`);
}
