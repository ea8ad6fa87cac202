import { expect, test } from "bun:test";
import { nodeOf } from "../../../../src/model/graph/repository-node.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";

const about = digestOf("about");

/** What is read of a manifest with a subject. */
function read(subject: unknown) {
  const config = { mediaType: mediaTypes.ociConfig, digest: digestOf("{}"), size: 2 };
  const document = {
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config,
    layers: [],
    subject,
  };
  const bytes = Buffer.from(JSON.stringify(document));
  return nodeOf({ mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes }, "it");
}

test.each([
  ["none", undefined, null],
  ["null", null, null],
  ["one that names nothing", {}, null],
  ["one with an empty digest", { digest: "" }, null],
  ["a digest alone", { digest: about }, about],
  ["a descriptor", { mediaType: mediaTypes.ociManifest, digest: about, size: 3 }, about],
])("a manifest's subject is read: %s", (_, subject, expected) => {
  expect(read(subject).subject).toBe(expected);
});

test("a subject that can't be told is an error, and not none", () => {
  expect(() => read({ digest: "md5:1" })).toThrow("it: the digest of its subject is not valid");
});
