import { expect, test } from "bun:test";
import { OcibundleError } from "../../../src/errors.ts";
import type { BlobToMove } from "../../../src/oci/content.ts";
import { digestOf } from "../../../src/oci/digest.ts";
import { limitsOf } from "../../../src/registry/limits.ts";
import { createRegistry } from "../../../src/registry/registry.ts";
import { registryWriter } from "../../../src/transfer/upload/registry-writer.ts";
import { initialTraits } from "../../../src/transfer/upload/registry-traits.ts";
import { failureOf } from "../../support/failure.ts";
import { uploadMethods } from "../../../src/transfer/upload/upload-method.ts";

const GiB = 1024 ** 3;

const blob = (size: number): BlobToMove => ({
  descriptor: { mediaType: "application/octet-stream", digest: digestOf("x"), size },
  label: 'weight "x"',
  group: "weights",
  source: () => Promise.reject(new Error("not needed")),
});

const writerFor = (host: string) => registryWriter(createRegistry(host).repository("acme/llama"));

test("a blob over the known limit of a registry is refused before anything is sent", () => {
  expect(() => writerFor("ghcr.io").checkBlob?.(blob(14 * GiB))).toThrow(
    new OcibundleError("usage", "size 14 GiB exceeds the limit of ghcr.io: 10 GiB per layer"),
  );
});

test.each([
  [true, "store it in parts: `ocibundle push REF --parts`, or `ocibundle copy SRC DST --parts`"],
  [false, "use a registry that accepts larger layers"],
])("what helps depends on whether the blob can be split: %p", async (canSplit, hint) => {
  const check = Promise.try(() =>
    writerFor("ghcr.io").checkBlob?.({ ...blob(14 * GiB), canSplit }),
  );
  expect((await failureOf(check)).hint).toBe(hint);
});

test("a blob within the limit, and any blob where no limit is known, is let through", () => {
  expect(() => writerFor("ghcr.io").checkBlob?.(blob(10 * GiB))).not.toThrow();
  expect(() => writerFor("registry.example.com").checkBlob?.(blob(2 ** 50))).not.toThrow();
});

test("a registry known to take no large chunks gets one body first", () => {
  for (const host of ["ghcr.io", "europe-docker.pkg.dev"]) {
    expect(uploadMethods(GiB, initialTraits(limitsOf(host)))[0]).toBe("patch");
  }
  expect(uploadMethods(GiB, initialTraits(limitsOf("registry.example.com")))[0]).toBe("chunks");
});
