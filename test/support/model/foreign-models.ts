import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { setDigest } from "../../../src/model/format/artifact/cog-weight.ts";
import { pullWeights } from "../../../src/model/pull/pull.ts";
import type { Descriptor } from "../../../src/oci/descriptor.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { tarBytes } from "../store/tar-bytes.ts";
import { type Job, jobIn } from "./job.ts";
import {
  putBlob,
  putManifest,
  type RecordingRegistry,
  recordingRegistry,
} from "../registry/recording-registry.ts";
import { temporaryDirectory } from "../temporary-directory.ts";
import { manifestType } from "./media-types.ts";

export const repository = "acme/model";
export const weights = Buffer.alloc(300_000, "some weights of a model, ");
export const tokenizer = '{"vocab": {}}\n';

export interface Bench {
  registry: RecordingRegistry;
  job: Job;
  blob(content: string | Uint8Array, mediaType: string, more?: object): Promise<Descriptor>;
  manifest(members: Record<string, unknown>, tag?: string): Promise<Descriptor>;
  pull(options?: {
    path?: string;
    only?: string[];
    useCache?: boolean;
    output?: string;
  }): Promise<Awaited<ReturnType<typeof pullWeights>>>;
  /** What lies in the directory that was pulled into, by path. */
  pulled(output?: string): Promise<Record<string, string>>;
}

export async function bench(): Promise<Bench> {
  const registry = await recordingRegistry();
  const job = jobIn(await temporaryDirectory());
  const at = (output: string) => join(job.cwd, output);
  return {
    registry,
    job,
    async blob(content, mediaType, more = {}) {
      const bytes = new Uint8Array(Buffer.from(content));
      return { ...(await putBlob(registry, repository, bytes, mediaType)), ...more };
    },
    manifest: (members, tag) =>
      putManifest(registry, repository, tag, {
        schemaVersion: 2,
        mediaType: manifestType,
        ...members,
      }),
    pull: ({ path, only = [], useCache = true, output = "out" } = {}) =>
      pullWeights(job, {
        source: `${registry.host}/${repository}:v1`,
        output: at(output),
        only,
        force: false,
        useCache,
        path,
      }),
    async pulled(output = "out") {
      const names = await readdir(at(output), { recursive: true });
      const files: Record<string, string> = {};
      for (const name of names.toSorted()) {
        if (name.split("/").some((part) => part.startsWith("."))) continue;
        const path = join(at(output), name);
        if ((await stat(path)).isFile()) files[name] = digestOf(await readFile(path));
      }
      return files;
    },
  };
}

export const filepath = (path: string) => ({ annotations: { "org.cncf.model.filepath": path } });
export const title = (path: string) => ({
  annotations: { "org.opencontainers.image.title": path },
});
/** The files of most models here, by name. */
export const both = Object.freeze({
  "model.safetensors": digestOf(weights),
  "tokenizer.json": digestOf(tokenizer),
});
export const ollamaType = (kind: string) => `application/vnd.ollama.image.${kind}`;
export const emptyConfig = "application/vnd.oci.empty.v1+json";

export const g3 = async (
  { blob, manifest }: Bench,
  {
    name,
    target,
    layers,
    lie = {},
  }: {
    name: string;
    target: string;
    layers: { type: string; bytes: Uint8Array; files: Record<string, string | Uint8Array> }[];
    lie?: Record<string, string>;
  },
) => {
  const described: Descriptor[] = [];
  const files: { path: string; layer: string; size: number; digest: string }[] = [];
  for (const layer of layers) {
    const put = await blob(layer.bytes, layer.type);
    described.push(put);
    for (const [path, content] of Object.entries(layer.files)) {
      const digest = lie[path] ?? digestOf(content);
      files.push({ path, layer: put.digest, size: Buffer.byteLength(content), digest });
    }
  }
  const config = JSON.stringify({ name, target, setDigest: setDigest(files), files });
  return manifest({
    artifactType: "application/vnd.cog.weight.v1",
    config: await blob(config, "application/vnd.cog.weight.config.v1+json"),
    layers: described,
  });
};

export const ociTar = "application/vnd.oci.image.layer.v1.tar";
export const plainTar = (name: string, content: string | Uint8Array) => ({
  type: ociTar,
  bytes: tarBytes({ name, content }),
  files: { [name]: content },
});

export const weightEntry = (descriptor: Descriptor, name: string) => ({
  ...descriptor,
  artifactType: "application/vnd.cog.weight.v1",
  platform: { os: "unknown", architecture: "unknown" },
  annotations: { "run.cog.weight.name": name },
});
