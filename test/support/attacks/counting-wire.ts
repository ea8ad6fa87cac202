import { type AddressInfo, connect, createServer, type Socket } from "node:net";

export type Direction = "up" | "down";

/** A relay in front of a server on loopback that counts the bytes of all connections, heads included. */
export interface CountingWire {
  port: number;
  /** Bytes that have come from clients (`up`) or from the server (`down`). */
  bytes(direction: Direction): number;
  /** Resolves when so many bytes have come. */
  arrived(direction: Direction, bytes: number): Promise<void>;
  /**
   * Passes on no more than so many bytes in this direction, until it is released. What has come by
   * then stands still, so that a client can be killed in the middle however fast it is.
   */
  hold(direction: Direction, bytes: number): void;
  release(): void;
  stop(): void;
}

/** Starts a wire to `target`, a port on 127.0.0.1. What a client that is gone has sent still arrives. */
export async function openWire(target: number): Promise<CountingWire> {
  const counts: Record<Direction, number> = { up: 0, down: 0 };
  const limits: Record<Direction, number> = { up: Infinity, down: Infinity };
  let waiting: { direction: Direction; bytes: number; resolve(): void }[] = [];
  let held: Socket[] = [];
  const open = new Set<Socket>();

  const pass = (direction: Direction, from: Socket, to: Socket): void => {
    from.on("data", (chunk) => {
      // Nobody gets what a server goes on sending to a client that is gone.
      if (to.destroyed) return;
      counts[direction] += chunk.length;
      const due = waiting.filter((one) => counts[one.direction] >= one.bytes);
      waiting = waiting.filter((one) => !due.includes(one));
      for (const { resolve } of due) resolve();
      const ready = to.write(chunk);
      if (counts[direction] >= limits[direction]) {
        from.pause();
        held.push(from);
      } else if (!ready) {
        from.pause();
        to.once("drain", () => {
          if (counts[direction] < limits[direction]) from.resume();
          else held.push(from);
        });
      }
    });
  };

  const server = createServer({ allowHalfOpen: true }, (client) => {
    const inner = connect(target, "127.0.0.1");
    for (const socket of [client, inner]) {
      open.add(socket);
      socket.on("error", () => socket.destroy());
      socket.on("close", () => open.delete(socket));
    }
    pass("up", client, inner);
    pass("down", inner, client);
    // What is on its way to the server is not lost with the client.
    client.on("close", () => inner.end());
    client.on("end", () => inner.end());
    inner.on("close", () => client.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));

  return {
    port: (server.address() as AddressInfo).port,
    bytes: (direction) => counts[direction],
    arrived: (direction, bytes) =>
      new Promise<void>((resolve) => {
        if (counts[direction] >= bytes) resolve();
        else waiting.push({ direction, bytes, resolve });
      }),
    hold(direction, bytes) {
      limits[direction] = bytes;
    },
    release() {
      limits.up = Infinity;
      limits.down = Infinity;
      for (const socket of held) socket.resume();
      held = [];
    },
    stop() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
