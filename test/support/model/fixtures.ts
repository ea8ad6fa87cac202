import { readFileSync } from "node:fs";
import { join } from "node:path";

const directory = join(import.meta.dir, "../../fixtures/formats");

/** A document that was written by hand from the format. */
export const fixture = (name: string): Uint8Array =>
  new Uint8Array(readFileSync(join(directory, name)));

export const bytesOf = (value: unknown): Uint8Array =>
  new TextEncoder().encode(JSON.stringify(value));

export const textOf = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

export const digest = (digit: string): `sha256:${string}` => `sha256:${digit.repeat(64)}`;

/** An entry of a lock that nothing is wrong with. */
export const entry = (name: string, more: Record<string, unknown> = {}) => ({
  name,
  dest: `/src/weights/${name}`,
  digestOriginal: digest("a"),
  digest: digest("a"),
  size: 10,
  sizeUncompressed: 10,
  mediaType: "application/vnd.cog.weights.layer.v1" as const,
  ...more,
});

export const lockOf = (...files: unknown[]) => ({
  version: "1",
  created: "2026-02-02T10:00:00Z",
  files,
});
