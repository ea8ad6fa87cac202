import crypto, { type KeyLike } from "node:crypto";
import { fileURLToPath } from "node:url";
import { OcibundleError } from "../errors.ts";
import { exchangeWith, type Rename } from "./exchange.ts";
import type { ConnectionOptions, Runtime } from "./types.ts";
import { openRegular } from "./regular-file.ts";

/** The part of Deno's global that is used here. */
interface DenoGlobal {
  dlopen(
    library: string,
    calls: { renameat2: { parameters: string[]; result: string } },
  ): { symbols: { renameat2: Rename } };
  createHttpClient(options: {
    caCerts?: string[];
    cert?: string;
    key?: string;
    proxy?: { url: string };
  }): object;
}

const deno = (): DenoGlobal => (globalThis as unknown as { Deno: DenoGlobal }).Deno;

/** Deno, from source: `deno run -A src/main.ts`. */
export const denoRuntime: Runtime = {
  sendsStreamLength: false,
  clonesFiles: false,
  hashesInWorkers: false,
  pausesTls: false,
  fileBody,
  connection,
  // V8 counts the memory of buffers, and collects by it.
  collectGarbage: () => undefined,
  completeVerify,

  exchange: (a, b) =>
    Promise.resolve(
      process.platform === "linux" &&
        exchangeWith(
          (library) => {
            const parameters = ["i32", "buffer", "i32", "buffer", "u32"];
            const { symbols } = deno().dlopen(library, {
              renameat2: { parameters, result: "i32" },
            });
            return symbols.renameat2;
          },
          [a, b],
        ),
    ),
  cachedShare: () => Promise.resolve(undefined),
  startWorker: () => new Worker(new URL("./worker.ts", import.meta.url), { type: "module" }),
  selfCommand: () => [
    process.execPath,
    "run",
    "--quiet",
    "--allow-all",
    fileURLToPath(new URL("../main.ts", import.meta.url)),
  ],
};

type Bytes = NodeJS.ArrayBufferView;
type Verify = (
  hash: string | null | undefined,
  data: Bytes,
  key: KeyLike,
  signature: Bytes,
) => boolean;

const denoVerify = crypto.verify as Verify;

/** Deno's throws where no hash is named; Node takes SHA-256, and none for keys that have their own. */
function completeVerify(): void {
  (crypto as { verify: Verify }).verify = (hash, data, key, signature) => {
    const hasOwn =
      key instanceof crypto.KeyObject && key.asymmetricKeyType?.startsWith("ed") === true;
    return denoVerify(hash ?? (hasOwn ? null : "sha256"), data, key, signature);
  };
}

/**
 * Deno has no blob that lies in a file, and drops the Content-Length of a stream: the range is read
 * into memory, so its memory is bounded by the slices that the caller asks for.
 */
async function fileBody(path: string, start: number, end: number): Promise<Blob> {
  const file = await openRegular(path);
  try {
    const bytes = new Uint8Array(end - start);
    let filled = 0;
    while (filled < bytes.length) {
      const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, start + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return new Blob([bytes.subarray(0, filled)]);
  } finally {
    await file.close();
  }
}

// A client holds a pool of connections: one for each way of connecting, not one for each request.
const clients = new Map<string, object>();

function connection({ tls, proxy }: ConnectionOptions): RequestInit {
  if (tls?.insecure === true) {
    throw new OcibundleError("usage", "--insecure is not supported under Deno", {
      hint: "start deno with --unsafely-ignore-certificate-errors, or add the registry's CA with --ca-file",
    });
  }
  if (tls === undefined && proxy === undefined) return {};
  const key = JSON.stringify([tls, proxy]);
  let client = clients.get(key);
  if (client === undefined) {
    client = deno().createHttpClient({
      ...(tls?.ca === undefined ? {} : { caCerts: [...tls.ca] }),
      ...(tls?.cert === undefined ? {} : { cert: tls.cert }),
      ...(tls?.key === undefined ? {} : { key: tls.key }),
      ...(proxy === undefined ? {} : { proxy: { url: proxy } }),
    });
    clients.set(key, client);
  }
  const init: RequestInit & { client: object } = { client };
  return init;
}
