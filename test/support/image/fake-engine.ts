import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestOf } from "../../../src/oci/digest.ts";
import { tarBytes, type TestEntry } from "../store/tar-bytes.ts";
import type { SampleImage } from "./sample-image.ts";

/** Speaks just enough of an engine's API over a real socket, for exports that no engine here writes. */
export interface FakeEngine {
  /** For DOCKER_HOST. */
  url: string;
  /** Paths that were asked for. */
  requests: string[];
  stop(): Promise<void>;
}

export async function fakeEngine(answer: RequestListener): Promise<FakeEngine> {
  const directory = await mkdtemp(join(tmpdir(), "engine-"));
  const socket = join(directory, "e.sock");
  const requests: string[] = [];
  const server = createServer((request, response) => {
    requests.push(request.url ?? "");
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(socket, resolve));
  return {
    url: `unix://${socket}`,
    requests,
    async stop() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** An engine with one image, which it exports in one of the shapes that engines have. */
export function engineWith(
  image: SampleImage,
  shape: (image: SampleImage) => TestEntry[],
  { id = digestOf(image.config), apiVersion = "1.41" }: { id?: string; apiVersion?: string } = {},
): Promise<FakeEngine> {
  return fakeEngine(({ url = "" }, response) => {
    response.setHeader("Api-Version", apiVersion);
    const path = decodeURIComponent(url.replace(/\?.*/, ""));
    if (path === `/images/${image.name}/json` || path === `/images/${id}/json`) {
      const Layers = image.layers.map((layer) => digestOf(layer));
      response.end(JSON.stringify({ Id: id, RootFS: { Type: "layers", Layers }, Extra: 1 }));
    } else if (path === `/images/${id}/get`) {
      response.end(tarBytes(...shape(image)));
    } else {
      response.statusCode = 404;
      response.end(JSON.stringify({ message: `No such image: ${path}` }));
    }
  });
}
