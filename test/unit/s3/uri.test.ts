import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { OcibundleError } from "../../../src/errors.ts";
import { isSafePath } from "../../../src/remote/path.ts";
import { objectUrl } from "../../../src/s3/endpoint.ts";
import { formatS3Uri, parseS3Uri } from "../../../src/s3/uri.ts";
import { parseWebUrl, shownUrl } from "../../../src/web/url.ts";
import { runs } from "../../support/property-runs.ts";

test.each([
  ["s3://models", "models", "", true],
  ["s3://models/", "models", "", true],
  ["s3://models/a/b", "models", "a/b", false],
  ["S3://models/a/b/", "models", "a/b", true],
  ["s3://models/a b%20?c#d", "models", "a b%20?c#d", false],
])("%s", (text, bucket, key, isDirectory) => {
  expect(parseS3Uri(text)).toEqual({ bucket, key, isDirectory });
});

test.each([
  "s3://",
  "s3:///x",
  "s3://a/x",
  "s3://a..b/x",
  "s3://user@bucket/x",
  "s3://bucket/../x",
  "s3://bucket//x",
  "s3://bucket/a//b",
  "s3://bucket/a\n",
])("%j is refused", (text) => {
  expect(() => parseS3Uri(text)).toThrow(OcibundleError);
});

const amazon = { url: undefined, region: "us-east-1", isRegionGiven: true };

test.each([
  [
    "models",
    "a b+(1)'*.bin",
    "https://models.s3.eu-west-1.amazonaws.com/a%20b%2B%281%29%27%2A.bin",
  ],
  ["dots.in.it", "x", "https://s3.eu-west-1.amazonaws.com/dots.in.it/x"],
])("the URL of an object in %s at Amazon", (bucket, key, url) => {
  expect(objectUrl(amazon, "eu-west-1", bucket, key).href).toBe(url);
});

test("another store has its buckets in the path", () => {
  const url = new URL("https://minio.example/prefix");
  expect(objectUrl({ ...amazon, url }, "x", "models", "a/b").href).toBe(
    "https://minio.example/prefix/models/a/b",
  );
});

test("whatever is read names a bucket and a path below it, and is read again as the same", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z./]{0,20}$/)), (rest) => {
      let address;
      try {
        address = parseS3Uri(`s3://${rest}`);
      } catch (error) {
        expect(error).toBeInstanceOf(OcibundleError);
        return;
      }
      const { bucket, key, isDirectory } = address;
      expect(key === "" || isSafePath(key)).toBe(true);
      const again = `${formatS3Uri(bucket, key)}${isDirectory ? "/" : ""}`;
      expect(parseS3Uri(again)).toEqual(address);
      const url = objectUrl(amazon, "us-east-1", bucket, key);
      expect(decodeURIComponent(url.pathname).endsWith(`/${key}`)).toBe(true);
    }),
    runs,
  );
});

test("a URL's query and user are never shown", () => {
  fc.assert(
    fc.property(fc.webUrl({ withQueryParameters: true, withFragments: true }), (text) => {
      const shown = shownUrl(text.replace("://", "://user:password@"));
      expect(shown).not.toContain("password");
      expect(shown).not.toContain("?");
      expect(shown).not.toContain("#");
      try {
        expect(isSafePath(parseWebUrl(text).file)).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(OcibundleError);
        expect(String(error)).not.toContain("?");
      }
    }),
    runs,
  );
});
