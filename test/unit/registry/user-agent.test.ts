import { expect, test } from "bun:test";
import manifest from "../../../package.json";
import { never } from "../http/scripted.ts";
import { scripted } from "./registry-client.ts";

test("a registry is told the program and its version", async () => {
  await using server = scripted(() => new Response("{}"));
  await server.repository.registry.ping(never);
  expect(server.seen[0]?.headers.get("user-agent")).toBe(`ocibundle/${manifest.version}`);
});
