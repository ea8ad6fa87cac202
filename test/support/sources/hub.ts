import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** What a scripted hub does other than it should, or seldom does. May be changed while it runs. */
export interface HubSwitches {
  /** Entries a page of a listing has. */
  pageSize?: number;
  /** The target of the link to the second page, in place of the right one. */
  nextPage?: string;
  /** The model's former name, from which the hub redirects by a relative 307. */
  formerName?: string;
  /** How many requests a signed URL is good for. */
  uses?: number;
  /** How many requests are answered with 429 first, with `RateLimit: …;t=0`. */
  limited?: number;
  /** The status and the code of each answer of the API. */
  refusal?: { status: number; code: string; message?: string };
  /** Whether the storage has no ranges. */
  wholeFiles?: boolean;
  /** Whether the hub sends the bytes itself. */
  ownStorage?: boolean;
  /** Files whose bytes have a bit flipped. */
  wrong?: readonly string[];
  /** Entries that are listed besides those of the files. */
  extra?: readonly unknown[];
  /** After how many bytes each answer of the storage breaks off. */
  breakAfter?: number;
  /** Files from this size on are stored by LFS, in bytes. */
  lfsFrom?: number;
  /** What the signature of a URL of the storage begins with. */
  signature?: string;
  /** The tags of the model: `license:mit`. */
  tags?: readonly unknown[];
  /** The token that the hub asks for. */
  token?: string;
}

export interface HubRequestSeen {
  at: "hub" | "storage";
  path: string;
  range: string | undefined;
  authorization: string | undefined;
}

export interface ScriptedHub {
  close(): Promise<void>;
  endpoint: string;
  model: string;
  /** 40 hex digits, of the files as they are now. */
  readonly commit: string;
  files: Map<string, Uint8Array>;
  switches: HubSwitches;
  seen: HubRequestSeen[];
}

const hashes = new WeakMap<Uint8Array, string>();

function sha256(bytes: Uint8Array): string {
  const hash = hashes.get(bytes) ?? createHash("sha256").update(bytes).digest("hex");
  hashes.set(bytes, hash);
  return hash;
}

const gitId = (bytes: Uint8Array): string =>
  createHash("sha1").update(`blob ${bytes.byteLength}\0`).update(bytes).digest("hex");

/** A hub with one model on loopback, and its storage at another origin. */
export async function startHub(
  content: Readonly<Record<string, Uint8Array | string>>,
  switches: HubSwitches = {},
  model = "acme/tiny",
): Promise<ScriptedHub> {
  const files = new Map(Object.entries(content).map(([name, value]) => [name, Buffer.from(value)]));
  const seen: HubRequestSeen[] = [];
  const used = new Map<string, number>();
  let signed = 0;
  const commit = (): string => {
    const hash = createHash("sha1");
    for (const [name, bytes] of files) hash.update(`${name} ${sha256(bytes)}\n`);
    return hash.digest("hex");
  };
  const hub: ScriptedHub = {
    endpoint: "",
    model,
    get commit() {
      return commit();
    },
    files: files as Map<string, Uint8Array>,
    switches,
    seen,
    async close() {
      await Promise.all([close(api), close(storage)]);
    },
  };
  const note = (at: "hub" | "storage", { url, headers }: IncomingMessage): void => {
    const { range, authorization } = headers;
    seen.push({ at, path: url ?? "", range, authorization });
  };

  const entries = (): unknown[] => [
    ...[...files].map(([path, bytes]) => {
      const size = bytes.byteLength;
      const lfs = size >= (hub.switches.lfsFrom ?? 1000);
      return {
        type: "file",
        path,
        size,
        oid: gitId(bytes),
        ...(lfs ? { lfs: { oid: sha256(bytes), size, pointerSize: 134 } } : {}),
      };
    }),
    ...(hub.switches.extra ?? []),
  ];

  const answerApi = (request: IncomingMessage, response: ServerResponse): void => {
    note("hub", request);
    const { refusal, token, formerName, pageSize = 1000 } = hub.switches;
    const json = (status: number, value: unknown, headers: Record<string, string> = {}): void => {
      response.writeHead(status, { "content-type": "application/json", ...headers });
      response.end(JSON.stringify(value));
    };
    const url = new URL(request.url ?? "/", "http://hub");
    const path = decodeURIComponent(url.pathname).replace(/\/$/, "");
    if ((hub.switches.limited ?? 0) > 0) {
      hub.switches.limited = (hub.switches.limited ?? 0) - 1;
      return json(429, {}, { ratelimit: '"api";r=0;t=0' });
    }
    if (token !== undefined && request.headers.authorization !== `Bearer ${token}`) {
      return json(
        401,
        {},
        { "x-error-code": "RepoNotFound", "x-error-message": "Repository not found" },
      );
    }
    if (refusal !== undefined) {
      const { status, code, message } = refusal;
      return json(
        status,
        {},
        { "x-error-code": code, ...(message ? { "x-error-message": message } : {}) },
      );
    }
    if (formerName !== undefined && path.includes(`/${formerName}/`)) {
      return json(307, {}, { location: (request.url ?? "").replace(formerName, model) });
    }
    const [, ref = path === `/api/models/${model}` ? "main" : undefined] =
      new RegExp(`^/api/models/${model}/revision/(.+)$`).exec(path) ?? [];
    if (ref !== undefined) {
      if (ref !== "main" && ref !== commit())
        return json(404, {}, { "x-error-code": "RevisionNotFound" });
      return json(200, { id: model, sha: commit(), tags: hub.switches.tags ?? [] });
    }
    if (path === `/api/models/${model}/tree/${commit()}`) {
      const from = Number(url.searchParams.get("cursor") ?? 0);
      const all = entries();
      const next = `${hub.endpoint}${path}?recursive=true&cursor=${from + pageSize}`;
      const more = from + pageSize < all.length;
      return json(
        200,
        all.slice(from, from + pageSize),
        more ? { link: `<${hub.switches.nextPage ?? next}>; rel="next"` } : {},
      );
    }
    if (path === `/api/models/${model}/paths-info/${commit()}`) {
      let asked = "";
      request.setEncoding("utf8").on("data", (text: string) => (asked += text));
      request.on("end", () => {
        const form = new URLSearchParams(asked).getAll("paths");
        const isAsked = ({ path: one }: { path?: string }): boolean =>
          form.includes(one ?? "") || asked.includes(`"${one}"`);
        json(200, (entries() as { path?: string }[]).filter(isAsked));
      });
      return;
    }
    const [, name] = new RegExp(`^/${model}/resolve/${commit()}/(.+)$`).exec(path) ?? [];
    const bytes = name === undefined ? undefined : files.get(name);
    if (name === undefined || bytes === undefined) {
      return json(
        404,
        {},
        { "x-error-code": name === undefined ? "RepoNotFound" : "EntryNotFound" },
      );
    }
    if (hub.switches.ownStorage === true || bytes.byteLength < (hub.switches.lfsFrom ?? 1000)) {
      return sendFile(request, response, name);
    }
    signed += 1;
    response.writeHead(302, {
      location: `${storageUrl}/${encodeURIComponent(name)}?signature=${hub.switches.signature ?? "s"}${signed}`,
      "x-repo-commit": commit(),
      "x-linked-etag": `"${sha256(bytes)}"`,
      "x-linked-size": String(bytes.byteLength),
      "x-xet-hash": "0".repeat(64),
    });
    response.end();
  };

  const sendFile = (request: IncomingMessage, response: ServerResponse, name: string): void => {
    let bytes: Uint8Array = files.get(name) ?? new Uint8Array(0);
    if (hub.switches.wrong?.includes(name) === true) {
      bytes = Buffer.from(bytes);
      bytes[bytes.length >> 1] = (bytes[bytes.length >> 1] ?? 0) ^ 1;
    }
    const size = bytes.byteLength;
    const [, first, last] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "") ?? [];
    const ranged = first !== undefined && hub.switches.wholeFiles !== true;
    const start = ranged ? Number(first) : 0;
    const end = ranged ? Math.min(Number(last) + 1, size) : size;
    response.writeHead(ranged ? 206 : 200, {
      "content-length": end - start,
      ...(ranged ? { "content-range": `bytes ${start}-${end - 1}/${size}` } : {}),
    });
    const { breakAfter } = hub.switches;
    if (breakAfter === undefined || end - start <= breakAfter) {
      response.end(bytes.subarray(start, end));
      return;
    }
    response.write(bytes.subarray(start, start + breakAfter), () => response.destroy());
  };

  const answerStorage = (request: IncomingMessage, response: ServerResponse): void => {
    note("storage", request);
    const url = new URL(request.url ?? "/", "http://storage");
    const signature = url.searchParams.get("signature") ?? "";
    const uses = (used.get(signature) ?? 0) + 1;
    used.set(signature, uses);
    if (request.headers.authorization !== undefined) response.writeHead(400).end();
    else if (uses > (hub.switches.uses ?? Number.POSITIVE_INFINITY)) response.writeHead(403).end();
    else sendFile(request, response, decodeURIComponent(url.pathname.slice(1)));
  };

  const api = createServer(answerApi);
  const storage = createServer(answerStorage);
  hub.endpoint = await listen(api);
  const storageUrl = await listen(storage);
  return hub;
}

async function listen(server: Server): Promise<string> {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const close = (server: Server): Promise<void> =>
  new Promise((resolve) => {
    server.close(() => resolve());
    server.closeAllConnections();
  });
