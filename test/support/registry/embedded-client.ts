import { createHash, randomBytes } from "node:crypto";
import { mediaTypes } from "../../../src/oci/media-types.ts";
import {
  createEmbeddedRegistry,
  type RegistryHandler,
  type RegistryOptions,
} from "../../../src/harness/registry/routes/registry.ts";
import { temporaryDirectory } from "../temporary-directory.ts";

type Headers = Record<string, string>;

/** A registry and short ways to ask it. */
export interface Client {
  storage: string;
  handler: RegistryHandler;
  send(method: string, path: string, body?: BodyInit, headers?: Headers): Promise<Response>;
  /** Pushes a blob in one request and returns its digest. */
  blob(repository: string, content: string | Uint8Array<ArrayBuffer>): Promise<string>;
  /** Pushes a manifest by a tag or its digest. */
  manifest(repository: string, reference: string | undefined, manifest: object): Promise<Response>;
  /** The codes of a refusal's errors. */
  codes(response: Response): Promise<string[]>;
}

/** Asks a registry whose storage is in a directory that is gone after the test, unless one is given. */
export async function registry(options: Partial<RegistryOptions> = {}): Promise<Client> {
  const storage = options.storage ?? (await temporaryDirectory());
  const handler = await createEmbeddedRegistry({ ...options, storage });
  const send: Client["send"] = (method, path, body, headers = {}) =>
    handler(
      new Request(new URL(path, "http://registry.test"), {
        method,
        headers,
        ...(body === undefined ? {} : { body }),
      }),
    );
  return {
    storage,
    handler,
    send,
    async blob(repository, content) {
      const digest = digestFor(content);
      const response = await send(
        "POST",
        `/v2/${repository}/blobs/uploads/?digest=${digest}`,
        content,
      );
      if (response.status !== 201) throw new Error(await response.text());
      return digest;
    },
    manifest(repository, reference, manifest) {
      const bytes = JSON.stringify(manifest);
      const { mediaType } = manifest as { mediaType?: string };
      return send("PUT", `/v2/${repository}/manifests/${reference ?? digestFor(bytes)}`, bytes, {
        "Content-Type": mediaType ?? mediaTypes.ociManifest,
      });
    },
    async codes(response) {
      const body = (await response.json()) as { errors: { code: string }[] };
      return body.errors.map(({ code }) => code);
    },
  };
}

export const digestFor = (content: string | Uint8Array, algorithm = "sha256"): string =>
  `${algorithm}:${createHash(algorithm).update(content).digest("hex")}`;

export const random = (bytes: number): Uint8Array<ArrayBuffer> =>
  new Uint8Array(randomBytes(bytes));

export const describing = (content: string | Uint8Array<ArrayBuffer>, mediaType: string) => ({
  mediaType,
  digest: digestFor(content),
  size: Buffer.byteLength(content),
});

/** A manifest of a config and layers, whose content the caller pushes. */
export const imageOf = (config: string, ...layers: string[]) => ({
  schemaVersion: 2,
  mediaType: mediaTypes.ociManifest,
  config: describing(config, mediaTypes.ociConfig),
  layers: layers.map((layer) => describing(layer, mediaTypes.ociLayer)),
});
