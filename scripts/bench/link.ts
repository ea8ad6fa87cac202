// A slow link to a server on this machine: `bun scripts/bench/link.ts PORT connection|all RATE` prints
// `listening on 127.0.0.1:PORT`. RATE is in bytes a second, each way: of each connection, or of all together.
import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";

/** What a timer can't tell apart, in milliseconds: who is less ahead of time than this need not wait. */
const granularity = 2;

/** How late a timer may be without slowing the link down, in milliseconds. */
const credit = 20;

/** Resolves when so many bytes may have passed; each call waits for those before it. */
type Pace = (bytes: number) => Promise<void>;

function atRate(bytesPerSecond: number): Pace {
  let free = 0;
  return async (bytes) => {
    const now = performance.now();
    free = Math.max(now - credit, free) + (bytes / bytesPerSecond) * 1000;
    if (free - now > granularity) await Bun.sleep(free - now);
  };
}

async function carry(from: Socket, to: Socket, pace: Pace): Promise<void> {
  try {
    for await (const chunk of from as AsyncIterable<Uint8Array>) {
      await pace(chunk.length);
      if (!to.write(chunk)) await once(to, "drain");
    }
    to.end();
  } catch {
    // One end went away: so does the other.
    from.destroy();
    to.destroy();
  }
}

const [port = "", of = "", rate = ""] = process.argv.slice(2);
const shared = { up: atRate(Number(rate)), down: atRate(Number(rate)) };
const server = createServer({ allowHalfOpen: true }, (client) => {
  const target = connect({ port: Number(port), host: "127.0.0.1", allowHalfOpen: true });
  for (const socket of [client, target]) socket.on("error", () => undefined);
  const { up, down } =
    of === "all" ? shared : { up: atRate(Number(rate)), down: atRate(Number(rate)) };
  void carry(client, target, up);
  void carry(target, client, down);
});
server.listen(0, "127.0.0.1", () => {
  const address = server.address();
  if (typeof address === "object") console.log(`listening on 127.0.0.1:${address?.port}`);
});
