import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectTls, getCACertificates } from "node:tls";
import type { ConnectionOptions } from "../../runtime/types.ts";

/** Bytes as they arrive on a connection, one reader at a time. */
export interface Wire {
  /** Writes all of `text`, a character for each byte. */
  write(text: string): void;
  /** The next bytes, or undefined when the other side has closed. Rejects with what broke. */
  read(): Promise<Uint8Array | undefined>;
  /** Gives back bytes that were read too many: the next read has them. */
  unread(bytes: Uint8Array): void;
  /** Whether nothing has arrived that nobody asked for, and nothing broke. */
  readonly quiet: boolean;
  /** While it is idle it does not hold the process open, and ends with what arrives: nobody asked for that. */
  idle(idle: boolean): void;
  close(): void;
}

/** Connects to the host of a URL; rejects with Node's own errors, or the signal's reason. */
export function connectWire(
  url: URL,
  tls: ConnectionOptions["tls"],
  signal: AbortSignal,
): Promise<Wire> {
  return new Promise((resolve, reject) => {
    const encrypted = url.protocol === "https:";
    const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
    const to = { host, port: Number(url.port || (encrypted ? 443 : 80)) };
    const socket = encrypted ? connectTls({ ...to, ...trust(host, tls) }) : connectPlain(to);
    const aborted = (): void => fail(signal.reason);
    const fail = (error: unknown): void => {
      signal.removeEventListener("abort", aborted);
      socket.destroy();
      reject(error);
    };
    socket.once("error", fail);
    socket.once("close", () => fail(closedEarly()));
    signal.addEventListener("abort", aborted, { once: true });
    socket.once(encrypted ? "secureConnect" : "connect", () => {
      signal.removeEventListener("abort", aborted);
      socket.removeAllListeners("error").removeAllListeners("close");
      resolve(wireOf(socket));
    });
  });
}

const closedEarly = (): Error =>
  Object.assign(new Error("the connection was closed"), { code: "ECONNRESET" });

const isAddress = /^[\d.]+$|:/;

function trust(host: string, tls: ConnectionOptions["tls"]): Parameters<typeof connectTls>[0] {
  const { ca, cert, key, insecure } = tls ?? {};
  return {
    ALPNProtocols: ["http/1.1"],
    // An address has no place in the handshake (RFC 6066, section 3); the certificate is checked for it all the same.
    ...(isAddress.test(host) ? {} : { servername: host }),
    // `ca` takes the place of the runtime's own list, so that is put in front of it.
    ...(ca === undefined ? {} : { ca: [...getCACertificates("default"), ...ca] }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    // Said each time: left out, NODE_TLS_REJECT_UNAUTHORIZED decides.
    rejectUnauthorized: insecure !== true,
  };
}

function wireOf(socket: Socket): Wire {
  const arrived: Uint8Array[] = [];
  let waiting: PromiseWithResolvers<Uint8Array | undefined> | undefined;
  let ended: { error: unknown } | undefined;
  let isIdle = false;

  const take = (chunk: Uint8Array): void => {
    if (isIdle) {
      end(undefined);
      socket.destroy();
      return;
    }
    if (waiting === undefined) {
      arrived.push(chunk);
      socket.pause();
      return;
    }
    waiting.resolve(chunk);
    waiting = undefined;
  };
  const end = (error: unknown): void => {
    ended ??= { error };
    if (ended.error === undefined) waiting?.resolve(undefined);
    else waiting?.reject(ended.error);
    waiting = undefined;
  };
  socket.on("data", take);
  socket.on("end", () => end(undefined));
  socket.on("error", end);
  socket.on("close", () => end(undefined));

  return {
    write: (text) => void socket.write(text, "latin1"),
    read() {
      const chunk = arrived.shift();
      if (chunk !== undefined) return Promise.resolve(chunk);
      if (ended !== undefined) {
        return ended.error === undefined ? Promise.resolve(undefined) : Promise.reject(ended.error);
      }
      waiting = Promise.withResolvers();
      socket.resume();
      return waiting.promise;
    },
    unread(bytes) {
      arrived.unshift(bytes);
    },
    get quiet() {
      return ended === undefined && arrived.length === 0;
    },
    idle(idle) {
      isIdle = idle;
      if (!idle) socket.ref();
      // A slow reader has stopped it, and a socket that is stopped does not see its end.
      else socket.unref().resume();
    },
    close: () => void socket.destroy(),
  };
}
