import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { join } from "node:path";
import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import { parseDocument } from "../../oci/document.ts";
import { homeDirectory } from "../../runtime/home-directory.ts";
import { readDocument } from "../../runtime/read-document.ts";
import { isMissing, readingCode, unreadableBecause } from "../../runtime/file-faults.ts";

/** How an engine is reached. */
export interface EngineEndpoint {
  /** As a user would write it in DOCKER_HOST. */
  url: string;
  /** What said so: `DOCKER_HOST`, `docker context "x"`, or undefined for the usual place. */
  origin: string | undefined;
  address: { socketPath: string } | { host: string; port: number };
  tls: EngineTls | undefined;
}

/** PEM texts. */
export interface EngineTls {
  ca?: Uint8Array | undefined;
  cert?: Uint8Array | undefined;
  key?: Uint8Array | undefined;
  insecure: boolean;
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Finds the local engine as Docker's own client does: `DOCKER_HOST`, else the context of
 * `DOCKER_CONTEXT` or of the docker config, else the usual sockets, Podman's among them.
 *
 * Throws `usage` for a kind of address that is not supported, `file` and `system` for a broken context.
 */
export async function findEndpoint(
  env: Environment,
  warn: (message: string) => void = () => undefined,
): Promise<EngineEndpoint> {
  const host = env["DOCKER_HOST"];
  const directory = env["DOCKER_CONFIG"] || join(homeDirectory(env) ?? "/", ".docker");
  if (host) {
    const tls = env["DOCKER_TLS_VERIFY"]
      ? await readTls(env["DOCKER_CERT_PATH"] || directory, false)
      : undefined;
    return endpointAt(host, "DOCKER_HOST", tls);
  }
  const context = env["DOCKER_CONTEXT"] || (await currentContext(directory, warn));
  if (context !== undefined && context !== "default") return contextEndpoint(directory, context);
  if (process.platform === "win32") return endpointAt("npipe:////./pipe/docker_engine", undefined);
  const [usual = "", ...others] = usualSockets(env);
  for (const path of [usual, ...others]) {
    if (await isSocket(path)) return endpointAt(`unix://${path}`, undefined);
  }
  return endpointAt(`unix://${usual}`, undefined);
}

function usualSockets(env: Environment): string[] {
  const runtime = env["XDG_RUNTIME_DIR"];
  return [
    "/var/run/docker.sock",
    ...(runtime ? [join(runtime, "docker.sock"), join(runtime, "podman", "podman.sock")] : []),
    "/run/podman/podman.sock",
  ];
}

async function isSocket(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isSocket();
  } catch {
    return false;
  }
}

function endpointAt(url: string, origin: string | undefined, tls?: EngineTls): EngineEndpoint {
  const by = origin === undefined ? "" : `${origin}: `;
  const fail = (why: string, hint?: string): OcibundleError =>
    new OcibundleError("usage", `${by}"${url}" ${why}`, { hint });
  const [scheme, rest = ""] = url.split(/:\/\/(.*)/s);
  switch (scheme) {
    case "unix":
      if (!rest.startsWith("/")) throw fail("is not the path of a socket");
      return { url, origin, address: { socketPath: rest }, tls: undefined };
    case "npipe":
      return { url, origin, address: { socketPath: rest.replaceAll("/", "\\") }, tls: undefined };
    case "tcp":
    case "http":
    case "https": {
      const isTls = tls !== undefined || scheme === "https";
      const { hostname, port } = parseAddress(rest) ?? {};
      if (hostname === undefined) throw fail("is not the address of an engine");
      return {
        url,
        origin,
        // IANA's ports for Docker: 2375 plain, 2376 with TLS.
        address: { host: hostname, port: port ?? (isTls ? 2376 : 2375) },
        tls: isTls ? (tls ?? { insecure: false }) : undefined,
      };
    }
    case "ssh":
      throw fail(
        "is not supported: it uses ssh",
        `forward its socket with "ssh -nNT -L /tmp/engine.sock:/var/run/docker.sock HOST", and set DOCKER_HOST=unix:///tmp/engine.sock`,
      );
    default:
      throw fail("is not the address of an engine", "use unix:///PATH or tcp://HOST:PORT");
  }
}

function parseAddress(text: string): { hostname: string; port: number | undefined } | undefined {
  try {
    const { hostname, port, pathname, username } = new URL(`tcp://${text}`);
    if (hostname === "" || username !== "" || !["", "/"].includes(pathname)) return undefined;
    return {
      hostname: hostname.replace(/^\[(.*)\]$/, "$1"),
      port: port === "" ? undefined : Number(port),
    };
  } catch {
    return undefined;
  }
}

const ConfigSchema = v.looseObject({ currentContext: v.nullish(v.string()) });

/** The context that Docker's config names. Nobody named the config: what can't be read is told and passed over. */
async function currentContext(
  directory: string,
  warn: (message: string) => void,
): Promise<string | undefined> {
  const path = join(directory, "config.json");
  try {
    const bytes = await readIfThere(path);
    if (bytes === undefined || bytes.toString().trim() === "") return undefined;
    return parseDocument(bytes, ConfigSchema, path).currentContext || undefined;
  } catch (error) {
    if (!(error instanceof OcibundleError)) throw error;
    warn(`${error.message}; continuing without it`);
    return undefined;
  }
}

const ContextSchema = v.looseObject({
  Endpoints: v.looseObject({
    docker: v.looseObject({ Host: v.string(), SkipTLSVerify: v.optional(v.boolean()) }),
  }),
});

/** Contexts lie in directories named by the digest of their name (docker/cli, cli/context/store). */
async function contextEndpoint(directory: string, name: string): Promise<EngineEndpoint> {
  const id = createHash("sha256").update(name).digest("hex");
  const path = join(directory, "contexts", "meta", id, "meta.json");
  const bytes = await readIfThere(path);
  if (bytes === undefined) {
    throw new OcibundleError("file", `docker context "${name}" does not exist`, {
      hint: "choose another with `docker context use`, or set DOCKER_HOST",
    });
  }
  const { docker } = parseDocument(bytes, ContextSchema, path).Endpoints;
  const tls = await readTls(
    join(directory, "contexts", "tls", id, "docker"),
    docker.SkipTLSVerify ?? false,
  );
  const isPlain = tls.ca === undefined && tls.cert === undefined && !tls.insecure;
  return endpointAt(docker.Host, `docker context "${name}"`, isPlain ? undefined : tls);
}

async function readTls(directory: string, insecure: boolean): Promise<EngineTls> {
  const [ca, cert, key] = await Promise.all(
    ["ca.pem", "cert.pem", "key.pem"].map((file) => readIfThere(join(directory, file))),
  );
  return { ca, cert, key, insecure };
}

/** More than this is no config, context or certificate, in bytes. */
const maxBytes = 8 * 1024 * 1024;

async function readIfThere(path: string): Promise<Buffer | undefined> {
  try {
    return await readDocument(path, { maxBytes });
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    const code = readingCode(cause);
    throw new OcibundleError(code, `"${path}" ${unreadableBecause(cause)}`, { cause });
  }
}
