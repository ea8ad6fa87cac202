import { expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { type PushRequest, pushModel } from "../../../../src/model/jobs/push.ts";
import { checkLock, writeLock } from "../../../../src/model/lock/lock.ts";
import { digestOf } from "../../../../src/oci/digest.ts";
import { afterwards } from "../../../support/afterwards.ts";
import { startWeb, type WebSwitches } from "../../../support/sources/web.ts";
import { pattern, pushOfNothing } from "../../../support/model/push.ts";
import { jobIn } from "../../../support/model/job.ts";
import { failureOf } from "../../../support/failure.ts";
import { recordingRegistry } from "../../../support/registry/recording-registry.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const large = pattern(9_000_000, 1);
const secret = "verysecretsignature";

const asked = (paths: string[]) =>
  ({ paths, dest: undefined, output: undefined, compression: undefined }) as const;

async function bench(switches: WebSwitches = {}) {
  const web = await startWeb({ "a/model.safetensors": large, "empty.bin": "" }, switches);
  afterwards(() => web.close());
  const registry = await recordingRegistry();
  const directory = await temporaryDirectory();
  const job = () => jobIn(directory, {});
  const url = `${web.origin}/a/model.safetensors?X-Amz-Signature=${secret}`;
  const push = (tag: string, request: Partial<PushRequest> = {}) =>
    pushModel(job(), {
      ...pushOfNothing,
      reference: `${registry.host}/acme/${tag}`,
      paths: [url],
      ...request,
    });
  const lock = (paths: string[]) => writeLock(job(), asked(paths));
  const check = (paths: string[]) => checkLock(job(), asked(paths));
  return { web, directory, push, lock, check, url };
}

test.each<[string, WebSwitches]>([
  ["with ranges", {}],
  ["without ranges", { noRanges: true }],
  ["with a weak ETag", { weakEtag: true }],
  ["without an ETag", { noEtag: true }],
  ["that was changed just now", { noEtag: true, modified: new Date().toUTCString() }],
  ["without a length", { noRanges: true, noLength: "chunked" }],
  ["that breaks off", { breakAfter: { bytes: 1_000_000, times: 2 } }],
  [
    "that breaks off, without ranges",
    { noRanges: true, breakAfter: { bytes: 5_000_000, times: 1 } },
  ],
  [
    "that breaks off, and nothing says what state it is in",
    { noRanges: true, noEtag: true, modified: "x", breakAfter: { bytes: 5_000_000, times: 1 } },
  ],
  ["that has another name in a header", { disposition: 'attachment; filename="../../x"' }],
])("a file of a server %s", async (_, switches) => {
  const { push, directory } = await bench(switches);
  const report = await push("m:v1");
  expect(report.model.weights?.files).toMatchObject([
    { dest: "/src/weights/model.safetensors", digest: digestOf(large) },
  ]);
  const written = readdirSync(directory, {
    recursive: true,
    encoding: "utf8",
    withFileTypes: true,
  });
  for (const entry of written) {
    if (!entry.isFile()) continue;
    expect(readFileSync(join(entry.parentPath, entry.name), "utf8")).not.toContain(secret);
  }
});

test("a file that was seen is not read again while its ETag is the same, and a change is seen", async () => {
  const { push, web, check, url } = await bench();
  await push("m:v1");
  web.seen.length = 0;
  await push("m:v2");
  expect(web.seen.map(({ range }) => range)).toEqual(["bytes=0-0"]);
  web.files.set("a/model.safetensors", pattern(9_000_000, 2));
  web.seen.length = 0;
  expect((await check([url])).changed).toHaveLength(1);
  expect(web.seen.map(({ range }) => range)).toEqual(["bytes=0-0"]);
});

test.each<[string, WebSwitches]>([
  ["and has an ETag", {}],
  ["and has no ETag", { noEtag: true }],
  ["and has no ranges", { noRanges: true, breakAfter: { bytes: 1_000_000, times: 9 } }],
])("a file that is replaced while it is read %s is never a mixture", async (_, switches) => {
  const { push, web } = await bench(switches);
  let reads = 0;
  web.switches.onRequest = () => {
    reads += 1;
    if (reads !== 3) return;
    web.files.set("a/model.safetensors", pattern(9_000_000, 7));
    web.switches.modified = "Thu, 02 Jan 2025 00:00:00 GMT";
  };
  const error = await failureOf(push("m:v1"));
  expect(error).toMatchObject({ code: "integrity" });
  expect(error.message).toContain("the file changed while it was read");
  expect(error.message).not.toContain(secret);
});

test("an empty file", async () => {
  const { lock, web } = await bench();
  expect((await lock([`${web.origin}/empty.bin`])).files).toMatchObject([{ sizeUncompressed: 0 }]);
});

test("a query that chooses between files is used, and what it stands for is not remembered", async () => {
  const { lock, web } = await bench();
  const url = `${web.origin}/a/model.safetensors?id=1`;
  await lock([url]);
  expect(web.seen.every(({ url: requested }) => requested.endsWith("?id=1"))).toBe(true);
  web.seen.length = 0;
  await lock([url]);
  expect(web.seen.length).toBeGreaterThan(1);
});

test("a redirect is followed, and the storage behind it is asked for the ranges", async () => {
  const storage = await bench();
  const { push, web } = await bench();
  web.switches.redirect = `${storage.web.origin}/*?X-Amz-Signature=${secret}`;
  await push("m:v1", { paths: [`${web.origin}/moved/a/model.safetensors`] });
  expect(web.seen).toHaveLength(1);
});

test.each<[string, WebSwitches, string, string, string]>([
  ["a user in the URL", {}, "http://user:pass@127.0.0.1:1/x.bin", "usage", "contains a username"],
  ["plain HTTP to another host", {}, "http://example.com/x.bin", "usage", "is plain HTTP"],
  ["no name", {}, "https://example.com/", "usage", "does not end with a file name"],
  [
    "a name with a slash",
    {},
    "https://example.com/a%2Fb",
    "usage",
    "does not end with a file name",
  ],
  ["a file:// URL", {}, "file:///etc/passwd", "usage", "is not a source"],
  ["a missing file", {}, "/missing.bin", "not_found", "does not exist (404)"],
  ["a coding", { coding: "gzip" }, "/a/model.safetensors", "network", "compressed"],
  [
    "no end",
    { noRanges: true, noLength: "close" },
    "/a/model.safetensors",
    "network",
    "report the end of the file",
  ],
  [
    "a redirect to the metadata service",
    { redirect: "http://169.254.169.254/*" },
    "/moved/x",
    "network",
    "169.254.169.254",
  ],
  [
    "a redirect to a file",
    { redirect: "file:///etc/*" },
    "/moved/passwd",
    "network",
    "not a valid URL",
  ],
])("%s is an error", async (_, switches, path, code, words) => {
  const { lock, web } = await bench(switches);
  const error = await failureOf(lock([path.startsWith("/") ? `${web.origin}${path}` : path]));
  expect(error).toMatchObject({ code });
  expect(error.message).toContain(words);
  expect(error.message).not.toContain("pass@");
});
