import { test } from "bun:test";
import { findLibrary, findPart } from "../../../scripts/parts.ts";

/** The real programs that interop tests run; scripts/ci-dependencies.sh installs them. */
export type Part =
  | "docker-registry"
  | "skopeo"
  | "dockerd"
  | "docker"
  | "containerd"
  | "ctr"
  | "distribution"
  | "crane"
  | "oras"
  | "regctl"
  | "cosign"
  | "podman"
  | "umoci"
  | "cog-reader"
  | "hf-hub-reader"
  | "chromium"
  | "versitygw"
  | "groff"
  | "qemu-aarch64"
  | LibraryPart;

/** What is no program: each release in a directory of its own. */
export type LibraryPart = `${(typeof libraries)[number]}-${string}`;
const libraries = [
  "@huggingface+hub",
  "huggingface_hub",
  "kubernetes_validate",
  "model2vec",
  "model_signing",
  "musl-system",
  "node-llama-cpp",
  "olah",
  "transformers",
] as const;
const isLibrary = (part: Part): part is LibraryPart =>
  libraries.some((library) => part.startsWith(`${library}-`));

/** The releases of huggingface_hub that are tested. */
export const hubReleases = [
  "huggingface_hub-0.23.5",
  "huggingface_hub-0.36.0",
  "huggingface_hub-1.29.0",
  "huggingface_hub-2.4.0",
] as const satisfies readonly LibraryPart[];
export type HubRelease = (typeof hubReleases)[number];

/** Programs that only root may run. */
const needRoot: ReadonlySet<Part> = new Set<Part>([
  "dockerd",
  "containerd",
  "podman",
  "musl-system-1",
]);

/** Which of the parts this machine lacks, each with the reason. */
function missing(parts: readonly Part[]): string[] {
  const root = process.getuid?.() === 0;
  return parts.flatMap((part) => {
    const found = isLibrary(part) ? findLibrary(part) : findPart(part);
    if (found === null || found === undefined) return [`${part} is not installed`];
    if (needRoot.has(part) && !root) return [`${part} needs root`];
    return [];
  });
}

const inCi = process.env["CI"] === "true";

/** Engines pull and unpack, on a machine that may be busy; in milliseconds. */
const timeout = 120_000;

/**
 * A test that needs real parts. Where one is missing it is skipped with the reason in its name; in CI,
 * where they must all be there, it fails.
 */
export function testWith(parts: readonly Part[], name: string, body: () => Promise<void>): void {
  const lacking = missing(parts);
  if (lacking.length === 0) {
    test(name, body, timeout);
  } else if (inCi) {
    test(name, () => {
      throw new Error(lacking.join(", "));
    });
  } else {
    test.skip(`${name} (${lacking.join(", ")})`, body);
  }
}
