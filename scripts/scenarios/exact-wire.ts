import { readFileSync } from "node:fs";
import type { Socket } from "bun";

/** A relay in front of a server on loopback that knows how much of what the server sent a client has read. */
export interface ExactWire {
  port: number;
  /** Bytes that the system has taken for clients; heads included. */
  handedOver(): number;
  /** Resolves when so many bytes were handed over. */
  arrived(bytes: number): Promise<void>;
  /** How many of these lie in the system's buffers, unread: exact when a client has stood still for 0.3 s. */
  unread(): number;
  stop(): void;
}

interface Side {
  to: Socket<Side> | undefined;
  /** What came and was not taken by the other side yet. */
  left: Uint8Array[];
  /** Whether it has ended, and so the other side ends when it has taken what is left. */
  ended: boolean;
  isDown: boolean;
}

/** Starts a relay to `target`, a port on 127.0.0.1. Bytes count when the system has taken them for the client. */
export function openExactWire(target: number): ExactWire {
  let handed = 0;
  let waiting: { bytes: number; resolve(): void }[] = [];
  const open = new Set<Socket<Side>>();

  /** Passes on what has come from a socket, as far as the other one takes it. */
  const pass = (from: Socket<Side>): void => {
    const side = from.data;
    const { to, left } = side;
    if (to === undefined) return;
    for (let chunk = left[0]; chunk !== undefined; chunk = left[0]) {
      const taken = Math.max(0, to.write(chunk));
      if (side.isDown) count(taken);
      if (taken < chunk.length) {
        left[0] = chunk.subarray(taken);
        from.pause();
        return;
      }
      left.shift();
    }
    from.resume();
    if (side.ended) to.end();
  };
  const count = (bytes: number): void => {
    handed += bytes;
    const due = waiting.filter((one) => handed >= one.bytes);
    waiting = waiting.filter((one) => !due.includes(one));
    for (const { resolve } of due) resolve();
  };
  const handlers = {
    data(socket: Socket<Side>, chunk: Uint8Array) {
      socket.data.left.push(chunk);
      if (socket.data.left.length === 1) pass(socket);
    },
    drain(socket: Socket<Side>) {
      const from = socket.data.to;
      if (from !== undefined) pass(from);
    },
    end(socket: Socket<Side>) {
      socket.data.ended = true;
      if (socket.data.left.length === 0) socket.data.to?.end();
    },
    close(socket: Socket<Side>) {
      open.delete(socket);
      // Nobody gets what a server goes on sending to a client that is gone.
      if (socket.data.isDown) handlers.end(socket);
      else socket.data.to?.terminate();
    },
    error() {},
  };
  const listener = Bun.listen<Side>({
    hostname: "127.0.0.1",
    port: 0,
    socket: {
      ...handlers,
      async open(client) {
        client.data = { to: undefined, left: [], ended: false, isDown: false };
        open.add(client);
        const inner = await Bun.connect<Side>({
          hostname: "127.0.0.1",
          port: target,
          data: { to: client, left: [], ended: false, isDown: true },
          socket: handlers,
        });
        open.add(inner);
        client.data.to = inner;
        pass(client);
      },
    },
  });

  return {
    port: listener.port,
    handedOver: () => handed,
    arrived: (bytes) =>
      new Promise<void>((resolve) => {
        if (handed >= bytes) resolve();
        else waiting.push({ bytes, resolve });
      }),
    unread: () => unreadFrom(listener.port),
    stop() {
      listener.stop(true);
      for (const socket of open) socket.terminate();
    },
  };
}

/** Bytes that have come from a port of this machine and were not read yet. */
function unreadFrom(port: number): number {
  const from = `0100007F:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  const lines = readFileSync("/proc/net/tcp", "utf8").split("\n").slice(1);
  let bytes = 0;
  for (const line of lines) {
    // sl, local address, remote address, state, what is to be sent and what was received
    const [, local, remote, , queues = ""] = line.trim().split(/\s+/);
    const [sending = "0", received = "0"] = queues.split(":");
    if (remote === from) bytes += Number.parseInt(received, 16);
    if (local === from) bytes += Number.parseInt(sending, 16);
  }
  return bytes;
}
