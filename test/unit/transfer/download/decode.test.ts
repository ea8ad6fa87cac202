import { expect, test } from "bun:test";
import { digestOf } from "../../../../src/oci/digest.ts";
import { decodingOf } from "../../../../src/transfer/download/decode.ts";

const blob = { digest: digestOf("blob"), size: 4 };
const original = { digest: digestOf("original"), size: 8 };
const layer = "application/vnd.cog.weights.layer.v1";

test("the media type says how a blob is decompressed", () => {
  expect(decodingOf({ ...blob, mediaType: layer }, original)).toEqual({ codec: undefined });
  expect(decodingOf({ ...blob, mediaType: `${layer}+gzip` }, original)).toEqual({ codec: "gzip" });
  expect(decodingOf({ ...blob, mediaType: `${layer}+zstd` }, original)).toEqual({ codec: "zstd" });
});

test("a blob that is its own original is not compressed, whatever the media type says", () => {
  const { codec, warning } = decodingOf({ ...blob, mediaType: `${layer}+gzip` }, blob);
  expect(codec).toBeUndefined();
  expect(warning).toContain("gzip");
});

test("the same digest with another size proves nothing", () => {
  const other = { ...blob, size: 5 };
  expect(decodingOf({ ...blob, mediaType: `${layer}+zstd` }, other)).toEqual({ codec: "zstd" });
});
