/** A model's file, as a hub lists it. */
interface HubFile {
  name: string;
  path: string;
  size: number;
  sha256: string;
}

export interface BenchHub {
  endpoint: string;
  /** Bytes of files that were asked for so far. */
  sent(): number;
  stop(): Promise<void>;
}

const commit = "0123456789abcdef0123456789abcdef01234567";

const missing = (): Response => new Response(null, { status: 404 });

/**
 * A hub with `acme/tiny` on loopback that gives files as fast as the system sends them, or at `rate` bytes a second
 * for each answer. It stores what is large elsewhere, as the real one, and sends clients there.
 */
export function startHub(files: readonly HubFile[], rate?: number): BenchHub {
  let sent = 0;
  const place = { hostname: "127.0.0.1", port: 0, idleTimeout: 0 };
  const find = (pathname: string) => files.find(({ name }) => pathname.endsWith(`/${name}`));
  const storage = Bun.serve({
    ...place,
    fetch(request) {
      const file = find(new URL(request.url).pathname);
      return file === undefined ? missing() : body(request, file);
    },
  });
  const api = Bun.serve({
    ...place,
    fetch(request) {
      const { pathname } = new URL(request.url);
      if (pathname.startsWith("/api/models/acme/tiny/tree/")) {
        return Response.json(
          files.map(({ name, size, sha256 }) => ({
            type: "file",
            path: name,
            size,
            oid: sha256.slice(0, 40),
            lfs: { oid: sha256, size, pointerSize: 134 },
          })),
        );
      }
      if (pathname.startsWith("/api/models/acme/tiny")) {
        const siblings = files.map(({ name }) => ({ rfilename: name }));
        return Response.json({ id: "acme/tiny", sha: commit, private: false, siblings });
      }
      const file = find(pathname);
      if (file === undefined) return missing();
      return new Response(null, {
        status: 302,
        headers: {
          location: `${storage.url.origin}/${file.name}`,
          "x-repo-commit": commit,
          "x-linked-etag": `"${file.sha256}"`,
          "x-linked-size": String(file.size),
        },
      });
    },
  });

  function body(request: Request, { path, size }: HubFile): Response {
    const [, first = "0", last = ""] =
      /^bytes=(\d+)-(\d*)$/.exec(request.headers.get("range") ?? "") ?? [];
    const start = Number(first);
    const end = last === "" ? size : Math.min(Number(last) + 1, size);
    sent += end - start;
    const slice = Bun.file(path).slice(start, end);
    return new Response(rate === undefined ? slice : paced(slice, rate), {
      status: request.headers.has("range") ? 206 : 200,
      headers: {
        "content-length": String(end - start),
        "content-range": `bytes ${start}-${end - 1}/${size}`,
      },
    });
  }

  return {
    endpoint: api.url.origin,
    sent: () => sent,
    stop: async () => {
      await Promise.all([api.stop(true), storage.stop(true)]);
    },
  };
}

const pieceBytes = 512 * 1024;

/** The bytes, no faster than at a rate. */
function paced(bytes: Blob, rate: number): ReadableStream<Uint8Array> {
  const began = performance.now();
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      if (at >= bytes.size) return controller.close();
      const piece = bytes.slice(at, at + pieceBytes);
      at += piece.size;
      const due = (at / rate) * 1000 - (performance.now() - began);
      if (due > 0) await Bun.sleep(due);
      controller.enqueue(new Uint8Array(await piece.arrayBuffer()));
    },
  });
}
