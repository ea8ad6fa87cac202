import { describe, expect, test } from "bun:test";
import { Refusal } from "../../../../../src/harness/registry/routes/refusal.ts";
import { parseRoute, type Route } from "../../../../../src/harness/registry/routes/route.ts";

const digest = `sha256:${"a".repeat(64)}` as const;

const routes: [string, Route][] = [
  ["/v2", { resource: "base" }],
  ["/v2/", { resource: "base" }],
  ["/v2/_catalog", { resource: "catalog" }],
  ["/v2/a/tags/list", { resource: "tags", repository: "a" }],
  ["/v2/a/b/blobs/uploads", { resource: "uploads", repository: "a/b" }],
  ["/v2/a/b/blobs/uploads/", { resource: "uploads", repository: "a/b" }],
  ["/v2/a/blobs/uploads/some-id", { resource: "upload", repository: "a", id: "some-id" }],
  [`/v2/a/blobs/${digest}`, { resource: "blob", repository: "a", digest }],
  [`/v2/a/blobs/${encodeURIComponent(digest)}`, { resource: "blob", repository: "a", digest }],
  [`/v2/a/referrers/${digest}`, { resource: "referrers", repository: "a", digest }],
  ["/v2/a/manifests/v1", { resource: "manifest", repository: "a", reference: "v1" }],
  // Parts of a repository may be called as the API's own words.
  ["/v2/blobs/uploads/tags/list", { resource: "tags", repository: "blobs/uploads" }],
  [
    "/v2/manifests/manifests/manifests/x",
    { resource: "manifest", repository: "manifests/manifests", reference: "x" },
  ],
];

describe("a path of the API", () => {
  test.each(routes)("%s", (path, route) => {
    expect(parseRoute(path)).toEqual(route);
  });

  test.each([
    "/",
    "/v1/",
    "/v2/a",
    "/v2/a/tags",
    "/v2/a/tags/other",
    "/v2/a/blobs/",
    "/v2//tags/list",
  ])("%s is nothing", (path) => {
    expect(parseRoute(path)).toBeUndefined();
  });

  test.each([
    "/v2/Upper/tags/list",
    "/v2/..%2f..%2fetc/tags/list",
    "/v2/a/../b/tags/list",
    "/v2/a%00b/tags/list",
    "/v2/_blobs/tags/list",
    "/v2/a//b/tags/list",
    "/v2/%E0%A4%A/tags/list",
    `/v2/${"a".repeat(256)}/tags/list`,
  ])("%s names no repository", (path) => {
    expect(() => parseRoute(path)).toThrow(
      expect.objectContaining({
        status: 400,
        faults: [expect.objectContaining({ code: "NAME_INVALID" })],
      }),
    );
  });

  test.each(["sha256:abc", "latest", `md5:${"a".repeat(32)}`, `sha256:${"A".repeat(64)}`, ".."])(
    "a blob named %s has no digest",
    (text) => {
      expect(() => parseRoute(`/v2/a/blobs/${text}`)).toThrow(Refusal);
    },
  );
});
