import { afterEach, describe, expect, test } from "bun:test";
import type { IncomingMessage, ServerResponse } from "node:http";
import { OcibundleError } from "../../../src/errors.ts";
import { engineClient } from "../../../src/image/engine/client.ts";
import { findEndpoint } from "../../../src/image/engine/endpoint.ts";
import { type ImageToLoad, loadImage } from "../../../src/image/engine/load.ts";
import type { Descriptor } from "../../../src/oci/descriptor.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { mediaTypes } from "../../../src/oci/media-types.ts";
import { tarEntries } from "../../../src/store/archive/entries.ts";
import { streamTarSource } from "../../../src/store/archive/source.ts";
import { type FakeEngine, fakeEngine } from "../../support/image/fake-engine.ts";
import { failureOf } from "../../support/failure.ts";

let engine: FakeEngine | undefined;
afterEach(async () => {
  await engine?.stop();
  engine = undefined;
});

const contents = new Map<string, Uint8Array>();
const blobOf = (text: string): Descriptor => {
  const bytes = new TextEncoder().encode(text);
  const digest = digestOf(bytes);
  contents.set(digest, bytes);
  return { mediaType: mediaTypes.ociLayerGzip, digest, size: bytes.length };
};
const config = blobOf("config");
const first = blobOf("first layer");
const second = blobOf("second layer, a little longer");
const empty = blobOf("");
const manifestBytes = new TextEncoder().encode('{"schemaVersion":2}');
const manifest = {
  mediaType: mediaTypes.ociManifest,
  digest: digestOf(manifestBytes),
  bytes: manifestBytes,
};

const contentOf = (digest: string): Uint8Array => {
  const bytes = contents.get(digest);
  if (bytes === undefined) throw new Error(`there is no ${digest}`);
  return bytes;
};

const path = ({ digest }: { digest: string }) => `blobs/${digest.replace(":", "/")}`;

const image = (more: Partial<ImageToLoad> = {}): ImageToLoad => ({
  manifest,
  config,
  // One layer twice, as an image may have it.
  layers: [first, second, first, empty],
  repository: "docker.io/acme/llama",
  tag: "v1",
  source: async ({ digest }) => ({ kind: "bytes", bytes: contentOf(digest) }),
  ...more,
});

async function load(what: ImageToLoad, signal = new AbortController().signal) {
  const events: string[] = [];
  const client = engineClient(await findEndpoint({ DOCKER_HOST: engine?.url }));
  const outcome = await loadImage(client, what, {
    signal,
    onStart: ({ digest }) => events.push(`start ${digest}`),
    onBytes: ({ digest }, bytes) => events.push(`${bytes} of ${digest}`),
    onDone: ({ digest }) => events.push(`done ${digest}`),
  });
  return { outcome, events };
}

/** An engine without images that takes an archive and answers with a text. */
const taking = (
  answer: string,
  take: (request: IncomingMessage) => Promise<unknown> = async (request) => {
    for await (const chunk of request) if (chunk === undefined) throw new Error("no chunk");
  },
) =>
  fakeEngine((request: IncomingMessage, response: ServerResponse) => {
    if (request.method !== "POST") {
      response.statusCode = 404;
      response.end('{"message":"no such image"}');
      return;
    }
    void take(request).then(
      () => response.end(answer),
      () => response.destroy(),
    );
  });

describe("loading an image into an engine", () => {
  test("sends one archive that is a layout and a docker archive at once", async () => {
    const files = new Map<string, string>();
    let headers: IncomingMessage["headers"] = {};
    let received = 0;
    engine = await taking('{"stream":"Loaded image: acme/llama:v1\\n"}\n', async (request) => {
      headers = request.headers;
      const counted = async function* () {
        for await (const chunk of request) {
          received += (chunk as Uint8Array).byteLength;
          yield chunk as Uint8Array;
        }
      };
      const source = streamTarSource(counted());
      for await (const entry of tarEntries(source, "archive")) {
        const parts: Uint8Array[] = [];
        for await (const part of source.chunks(entry.size)) parts.push(new Uint8Array(part));
        files.set(entry.name, Buffer.concat(parts).toString());
      }
      for await (const rest of counted()) received += rest.byteLength;
    });
    const { outcome, events } = await load(image());
    expect(outcome).toBe("loaded");
    expect(engine.requests).toEqual([
      `/images/${config.digest}/json`,
      `/images/${manifest.digest}/json`,
      "/images/load?quiet=1",
    ]);
    expect(headers["content-type"]).toBe("application/x-tar");
    expect(headers["content-length"]).toBe(String(received));
    expect([...files.keys()]).toEqual([
      "oci-layout",
      "index.json",
      "manifest.json",
      path(manifest),
      path(config),
      path(first),
      path(second),
      path(empty),
    ]);
    expect(files.get(path(second))).toBe("second layer, a little longer");
    expect(JSON.parse(files.get("manifest.json") ?? "")).toEqual([
      {
        Config: path(config),
        RepoTags: ["docker.io/acme/llama:v1"],
        Layers: [path(first), path(second), path(first), path(empty)],
      },
    ]);
    expect(JSON.parse(files.get("index.json") ?? "").manifests).toEqual([
      {
        mediaType: manifest.mediaType,
        digest: manifest.digest,
        size: manifestBytes.length,
        annotations: {
          "io.containerd.image.name": "docker.io/acme/llama:v1",
          "org.opencontainers.image.ref.name": "v1",
        },
      },
    ]);
    expect(events.slice(0, 3)).toEqual([
      `start ${config.digest}`,
      `6 of ${config.digest}`,
      `done ${config.digest}`,
    ]);
    expect(events.filter((event) => event.startsWith("done")).length).toBe(4);
  });

  for (const [by, id] of [
    ["its config", config.digest],
    ["its manifest", manifest.digest],
  ] as const) {
    test(`only names one that the engine has, known by ${by}`, async () => {
      engine = await fakeEngine(({ url = "" }, response) => {
        response.statusCode = url === `/images/${id}/json` ? 200 : 404;
        if (url.startsWith(`/images/${id}/tag?`)) response.statusCode = 201;
        response.end("{}");
      });
      expect(await load(image())).toEqual({ outcome: "present", events: [] });
      expect(engine.requests.at(-1)).toBe(`/images/${id}/tag?repo=docker.io%2Facme%2Fllama&tag=v1`);
    });
  }

  test("fails as the engine says, also after it has answered 200", async () => {
    engine = await taking(
      '{"stream":"Loading"}\r\n{"errorDetail":{"message":"x"},"error":"no space\\nleft on device"}\n',
    );
    const { code, message } = await failureOf(load(image()));
    expect(code).toBe("network");
    expect(message).toBe(`engine at ${engine.url} (DOCKER_HOST): no space left on device`);
  });

  test("fails as the engine says when it answers before it has everything", async () => {
    const large = new Uint8Array(64 * 1024 * 1024);
    const blob = { mediaType: mediaTypes.ociLayer, digest: digestOf(large), size: large.length };
    engine = await fakeEngine((request, response) => {
      if (request.method === "POST") {
        response.statusCode = 500;
        response.end('{"message":"not today"}');
      } else {
        response.statusCode = 404;
        response.end("{}");
      }
    });
    const what = image({
      layers: [blob],
      source: async ({ digest }) => ({
        kind: "bytes",
        bytes: digest === blob.digest ? large : contentOf(digest),
      }),
    });
    const { code, message } = await failureOf(load(what));
    expect(code).toBe("network");
    expect(message).toMatch(/not today|can't be reached/);
  });

  test("ends an archive whose bytes turn out to be others before their last byte", async () => {
    let received = 0;
    engine = await taking("{}", async (request) => {
      for await (const chunk of request) received += (chunk as Uint8Array).byteLength;
    });
    for (const [bytes, says] of [
      ["first lAyer", "the content does not match this digest"],
      ["first", "only 5 of 11 bytes"],
      ["first layer and more", "more than 11 of 11 bytes"],
    ] as const) {
      received = 0;
      const what = image({
        source: async ({ digest }) => ({
          kind: "stream",
          open: async () => new Blob([digest === config.digest ? "config" : bytes]).stream(),
        }),
      });
      const { code, message } = await failureOf(load(what));
      expect({ code, message }).toEqual({
        code: "integrity",
        message: expect.stringContaining(says),
      });
      expect(received).toBeLessThan(512 * 20);
    }
  });

  test("ends with the signal's reason", async () => {
    const controller = new AbortController();
    const reason = new OcibundleError("interrupted", "interrupted");
    engine = await taking("{}", async () => {
      controller.abort(reason);
      await new Promise(() => undefined);
    });
    expect(await failureOf(load(image(), controller.signal))).toBe(reason);
  });
});
