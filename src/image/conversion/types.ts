import type { ContentReader } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import type { Platform } from "../../oci/platform.ts";
import type { Reference } from "../../oci/reference.ts";
import type { EmitEvent } from "../../transfer/events.ts";

/** An image where it comes from, ready to be read. */
export interface ImageSource {
  /** Reads the manifests and blobs below `root`. */
  reader: ContentReader;
  /** The image manifest or index, its bytes untouched; made here only for an engine's or a docker archive's image. */
  root: RawManifest;
  /** What a user calls it: `docker-daemon:llama:dev`, `oci:./layout:v1`. */
  name: string;
  /** The tag that it has there, where it has one. */
  tag?: string | undefined;
  /** Removes what was made on the way. The reader's blobs can't be read after it. Never throws. */
  close(): Promise<void>;
}

/** Which compressed blob a layer became when it was pushed to the target before. */
export interface KnownLayers {
  /** The blob of a layer with this diff ID, only when the target still has it. */
  find(diffId: Digest, signal: AbortSignal): Promise<Descriptor | undefined>;
  /** Is told what a layer was compressed to, before that is anywhere but in a temporary file. */
  record(diffId: Digest, descriptor: Descriptor): void;
}

/** Configs by digest, which most engines use as image ID: an unchanged image then need not be exported. */
export interface KnownConfigs {
  find(digest: Digest): Promise<Uint8Array | undefined>;
  record(digest: Digest, config: Uint8Array): Promise<void>;
}

/** What opening an image of any kind may need. */
export interface OpenImageOptions {
  signal: AbortSignal;
  /** Names the engine's socket: DOCKER_HOST, DOCKER_CONTEXT and the like. */
  env: Readonly<Record<string, string | undefined>>;
  /** What relative paths are relative to, absolute. */
  cwd: string;
  /** A directory for temporary files, made when needed; what is put there is removed by `close`. */
  tempDir: string;
  /** Reads the repository of a reference. */
  registryReader(reference: Reference): ContentReader;
  /** The platform that will be asked for; an engine that holds several exports only this one. */
  platform?: Platform | undefined;
  /** Layers that were compressed before; all are compressed without it. */
  knownLayers?: KnownLayers | undefined;
  /** Configs of images seen before; every image of an engine is exported without it. */
  configs?: KnownConfigs | undefined;
  emit?: EmitEvent | undefined;
}
