// A registry that keeps no blob: `bun scripts/bench/sink.ts` prints `listening on 127.0.0.1:PORT`. Every
// blob is asked for, every body is dropped as it comes, every upload succeeds; only manifests are kept,
// since some clients read back what they put. A raw socket and not an HTTP server, so that taking the
// bytes costs as little as it can.
import { createHash } from "node:crypto";

interface Connection {
  /** Bytes of the head or of a chunk's size line that is not whole yet. */
  line: string;
  /** What comes next. */
  state: "head" | "body" | "chunk-size" | "chunk" | "trailer";
  /** Bytes left of the body or chunk, the line end after a chunk included. */
  left: number;
  /** The first line of the request that is being read. */
  request: string;
  contentType: string;
  /** Bytes of its body so far. */
  received: number;
  /** The body, where it is a manifest. */
  manifest: Buffer[];
}

/** Path to what was put there. */
const manifests = new Map<string, { contentType: string; bytes: Buffer; digest: string }>();

/** Upload session to the bytes it has. */
const sessions = new Map<string, number>();

const reply = (status: string, ...headers: string[]) =>
  [`HTTP/1.1 ${status}`, "Content-Length: 0", ...headers, "", ""].join("\r\n");

function putManifest(path: string, { contentType, manifest }: Connection): string {
  const bytes = Buffer.concat(manifest);
  const digest = `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
  manifests.set(path, { contentType, bytes, digest });
  manifests.set(path.replace(/[^/]+$/, digest), { contentType, bytes, digest });
  return reply("201 Created", `Location: ${path}`, `Docker-Content-Digest: ${digest}`);
}

function getManifest(path: string, withBody: boolean): string {
  const found = manifests.get(path);
  if (found === undefined) return reply("404 Not Found");
  const { bytes, contentType, digest } = found;
  const head = `HTTP/1.1 200 OK\r\nContent-Length: ${bytes.length}\r\nContent-Type: ${contentType}\r\n`;
  return `${head}Docker-Content-Digest: ${digest}\r\n\r\n${withBody ? bytes.toString("latin1") : ""}`;
}

function answer(connection: Connection): string {
  const { request, received } = connection;
  const [method = "", target = ""] = request.split(" ");
  if (target.includes("/manifests/")) {
    if (method === "PUT") return putManifest(target, connection);
    return getManifest(target, method === "GET");
  }
  if (method === "POST") {
    const session = crypto.randomUUID();
    sessions.set(session, 0);
    const path = target.replace(/\?.*/, "").replace(/\/$/, "");
    return reply("202 Accepted", `Location: ${path}/${session}`, "Range: 0-0");
  }
  if (method === "PATCH") {
    const session = target.slice(target.lastIndexOf("/") + 1);
    const total = (sessions.get(session) ?? 0) + received;
    sessions.set(session, total);
    return reply("202 Accepted", `Location: ${target}`, `Range: 0-${total - 1}`);
  }
  if (method === "PUT") {
    const digest = /[?&]digest=([^&]+)/.exec(target)?.[1];
    const header = digest && [`Docker-Content-Digest: ${decodeURIComponent(digest)}`];
    return reply("201 Created", `Location: ${target.replace(/\?.*/, "")}`, ...(header || []));
  }
  if (/^\/v2\/?$/.test(target)) return reply("200 OK");
  return reply("404 Not Found");
}

const server = Bun.listen<Connection>({
  hostname: "127.0.0.1",
  port: 0,
  socket: {
    open(socket) {
      socket.data = {
        line: "",
        state: "head",
        left: 0,
        request: "",
        contentType: "",
        received: 0,
        manifest: [],
      };
    },
    data(socket, bytes) {
      const connection = socket.data;
      const done = () => {
        socket.write(Buffer.from(answer(connection), "latin1"));
        connection.state = "head";
        connection.received = 0;
        connection.manifest = [];
      };
      // Some clients try TLS first; one that is not told at once that there is none waits for it.
      if (connection.line === "" && connection.state === "head" && bytes[0] === 0x16) {
        socket.end();
        return;
      }
      let at = 0;
      while (at < bytes.length) {
        if (connection.state === "body" || connection.state === "chunk") {
          const taken = Math.min(connection.left, bytes.length - at);
          if (connection.request.includes("/manifests/")) {
            connection.manifest.push(Buffer.from(bytes.subarray(at, at + taken)));
          }
          at += taken;
          connection.left -= taken;
          connection.received += taken;
          if (connection.left > 0) return;
          if (connection.state === "body") done();
          else {
            connection.received -= 2;
            connection.state = "chunk-size";
          }
          continue;
        }
        // A head ends with an empty line, what is between chunks with the end of the line.
        const end = connection.state === "head" ? "\r\n\r\n" : "\r\n";
        const before = connection.line.length;
        connection.line += bytes.toString("latin1", at, Math.min(bytes.length, at + 65_536));
        const found = connection.line.indexOf(end);
        if (found < 0) return;
        at += found + end.length - before;
        const text = connection.line.slice(0, found);
        connection.line = "";
        if (connection.state === "head") {
          connection.request = text.slice(0, text.indexOf("\r\n"));
          connection.contentType = /^content-type: *(.*)$/im.exec(text)?.[1]?.trim() ?? "";
          connection.left = Number(/^content-length: *(\d+)/im.exec(text)?.[1] ?? 0);
          if (/^transfer-encoding: *chunked/im.test(text)) connection.state = "chunk-size";
          else if (connection.left > 0) connection.state = "body";
          else done();
        } else if (connection.state === "chunk-size") {
          const size = Number.parseInt(text, 16);
          connection.left = size + 2;
          connection.state = size === 0 ? "trailer" : "chunk";
        } else if (text === "") {
          done();
        }
      }
    },
  },
});
console.log(`listening on 127.0.0.1:${server.port}`);
