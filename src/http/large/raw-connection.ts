import { connect as connectPlain, type Socket } from "node:net";
import { connect as connectTls, getCACertificates } from "node:tls";
import type { ConnectionOptions } from "../../runtime/types.ts";
import { type CheckAddresses, checkedLookup } from "../message/checked-address.ts";

/** A TCP or TLS connection that one caller at a time reads from. */
export interface RawConnection {
  /** Writes all of `text`, one character for each byte. */
  write(text: string): void;
  /** The next bytes, or undefined when the other side has closed. Rejects with the socket's error. */
  read(): Promise<Uint8Array | undefined>;
  /** Returns bytes that were read too far: the next read gets them first. */
  pushBack(bytes: Uint8Array): void;
  /** Whether the connection is open and no unread bytes are left: fit for another request. */
  readonly isClean: boolean;
  /** An idle connection does not keep the process alive, and closes when bytes arrive that nobody requested. */
  idle(idle: boolean): void;
  close(): void;
}

/** Connects to the host of a URL; rejects with Node's own errors, or the signal's reason. */
export function openRawConnection(
  url: URL,
  {
    tls,
    checkAddresses,
    signal,
  }: {
    tls: ConnectionOptions["tls"];
    checkAddresses?: CheckAddresses | undefined;
    signal: AbortSignal;
  },
): Promise<RawConnection> {
  return new Promise((resolve, reject) => {
    const encrypted = url.protocol === "https:";
    const host = url.hostname.replace(/^\[(.*)\]$/, "$1");
    const to = {
      host,
      port: Number(url.port || (encrypted ? 443 : 80)),
      ...(checkAddresses === undefined ? {} : { lookup: checkedLookup(checkAddresses) }),
    };
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
      resolve(connectionOf(socket));
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
    // SNI takes no addresses (RFC 6066, section 3); the certificate is checked against the address all the same.
    ...(isAddress.test(host) ? {} : { servername: host }),
    // `ca` replaces the runtime's own list, so that list is included.
    ...(ca === undefined ? {} : { ca: [...getCACertificates("default"), ...ca] }),
    ...(cert === undefined ? {} : { cert }),
    ...(key === undefined ? {} : { key }),
    // Always explicit: otherwise NODE_TLS_REJECT_UNAUTHORIZED decides.
    rejectUnauthorized: insecure !== true,
  };
}

function connectionOf(socket: Socket): RawConnection {
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
    pushBack(bytes) {
      arrived.unshift(bytes);
    },
    get isClean() {
      return ended === undefined && arrived.length === 0;
    },
    idle(idle) {
      isIdle = idle;
      if (!idle) socket.ref();
      // A slow reader may have paused the socket, and a paused socket does not see the other side close.
      else socket.unref().resume();
    },
    close: () => void socket.destroy(),
  };
}
