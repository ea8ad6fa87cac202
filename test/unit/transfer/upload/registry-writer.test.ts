import { describe, expect, test } from "bun:test";
import { createRegistry } from "../../../../src/registry/registry.ts";
import { registryWriter } from "../../../../src/transfer/upload/registry-writer.ts";
import { serveUploads } from "../../../support/registry/upload-registry.ts";

const { signal } = new AbortController();
const clock = { now: Date.now, random: () => 0, sleep: () => Promise.resolve() };

const refusal = (status: number, code: string): Response =>
  Response.json({ errors: [{ code }] }, { status });

describe("whether a repository is new", () => {
  test.each([
    ["says that there is no such repository", () => refusal(404, "NAME_UNKNOWN"), true],
    ["says something else", () => refusal(404, "UNSUPPORTED"), false],
    ["has no words", () => new Response(null, { status: 404 }), false],
    ["has no list", () => refusal(405, "UNSUPPORTED"), false],
    ["lets nobody see", () => refusal(403, "DENIED"), false],
    ["lists no tags", () => Response.json({ name: "acme/llama", tags: null }), false],
    ["lists a tag", () => Response.json({ name: "acme/llama", tags: ["v1"] }), false],
  ])("where the registry %s", async (_, answer, isNew) => {
    const registry = await serveUploads((request, next) =>
      request.url.includes("/tags/list") ? answer() : next(request),
    );
    try {
      const repository = createRegistry(registry.host, { clock }).repository("acme/llama");
      const writer = registryWriter(repository, { traits: new Map(), clock });
      expect(await writer.isNew?.(signal)).toBe(isNew);
    } finally {
      await registry.stop();
    }
  });
});
