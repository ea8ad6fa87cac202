import { expect, test } from "bun:test";
import manifest from "../../../package.json";
import { never } from "../../support/registry/scripted-server.ts";
import { scripted } from "../../support/registry/registry-client.ts";

test("a registry is told the program and its version", async () => {
  await using server = scripted(() => new Response("{}"));
  await server.repository.registry.ping(never);
  expect(server.seen[0]?.headers.get("user-agent")).toBe(`ocibundle/${manifest.version}`);
});
