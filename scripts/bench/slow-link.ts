import { connect, createServer, type Socket } from "node:net";

/** How much goes on at once, in bytes: small against what passes in a second. */
const pieceBytes = 256 * 1024;

export interface SlowLink {
  /** `127.0.0.1:41011` */
  address: string;
  stop(): Promise<void>;
}

/** A way to a server that brings each connection its answers at no more than `rate` bytes a second. */
export async function startSlowLink(server: string, rate: number): Promise<SlowLink> {
  const [host = "", port] = server.split(":");
  const open = new Set<Socket>();
  const link = createServer((client) => {
    const behind = connect({ host, port: Number(port) });
    for (const socket of [client, behind]) {
      open.add(socket);
      socket.on("close", () => {
        open.delete(socket);
        client.destroy();
        behind.destroy();
      });
      socket.on("error", () => undefined);
    }
    client.pipe(behind);
    void pace(behind, client, rate);
  });
  await new Promise<void>((resolve) => link.listen(0, "127.0.0.1", resolve));
  const address = link.address();
  if (address === null || typeof address === "string") throw new Error("the link has no port");
  return {
    address: `127.0.0.1:${address.port}`,
    stop: async () => {
      for (const socket of open) socket.destroy();
      await new Promise((resolve) => link.close(resolve));
    },
  };
}

async function pace(from: Socket, to: Socket, rate: number): Promise<void> {
  /** When the line is free again; what was not used is lost, as on a line. */
  let free = performance.now();
  try {
    for await (const chunk of from as AsyncIterable<Buffer>) {
      for (let at = 0; at < chunk.byteLength; at += pieceBytes) {
        const piece = chunk.subarray(at, at + pieceBytes);
        free = Math.max(free, performance.now() - idleCredit) + (piece.byteLength / rate) * 1000;
        const wait = free - performance.now();
        if (wait > 0) await Bun.sleep(wait);
        if (!to.write(piece)) await new Promise((resolve) => to.once("drain", resolve));
      }
    }
  } catch {
    // Either side broke off: the other is closed with it.
  }
}

/** How late a timer may be without slowing the line down, in milliseconds. */
const idleCredit = 20;
