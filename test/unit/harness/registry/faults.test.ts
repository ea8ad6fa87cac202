import { describe, expect, test } from "bun:test";
import { serveHttp } from "../../../../src/harness/registry/instance/http-server.ts";
import { parseFault } from "../../../../src/harness/misbehave/faults/parse.ts";
import { withFaults } from "../../../../src/harness/misbehave/faults/faults.ts";
import { afterwards } from "../../../support/afterwards.ts";
import { digestFor, random, registry } from "../../../support/registry/embedded-client.ts";

/** A registry over real connections, with faults. */
async function faulty(...specs: string[]) {
  const client = await registry();
  const handle = withFaults(specs.map(parseFault))(client.handler);
  const server = await serveHttp({ hostname: "127.0.0.1", port: 0, handle });
  afterwards(() => server.stop());
  const at = `http://127.0.0.1:${server.port}`;
  const ask = (path: string, init?: RequestInit) => fetch(new URL(path, at), init);
  /** The status, or that there was none. */
  const outcome = (path: string, init?: RequestInit): Promise<number | "broken"> =>
    ask(path, init).then(
      async (response) => {
        await response.arrayBuffer();
        return response.status;
      },
      () => "broken",
    );
  return { ...client, ask, outcome };
}

const impatient = () => ({ signal: AbortSignal.timeout(150) });
const start = { method: "POST" };
const content = random(300_000);
const digest = digestFor(content);
const uploads = "/v2/acme/llama/blobs/uploads/";
const blob = `/v2/acme/llama/blobs/${digest}`;

describe("a fault", () => {
  test("answers with a status and Retry-After, so often as it says", async () => {
    const { ask, outcome } = await faulty("status:503,retry-after=7,method=GET,times=2");
    const refused = await ask("/v2/");
    expect([refused.status, refused.headers.get("Retry-After")]).toEqual([503, "7"]);
    expect(await outcome("/v2/", { method: "HEAD" })).toBe(200);
    expect([await outcome("/v2/"), await outcome("/v2/")]).toEqual([503, 200]);
  });

  test("happens to the nth or to every nth request that fits", async () => {
    const { outcome } = await faulty("status:500,path=/v2/,nth=2", "status:502,path=/v2/,every=3");
    const seen = [];
    for (let index = 0; index < 6; index += 1) seen.push(await outcome("/v2/"));
    expect(seen).toEqual([200, 500, 502, 200, 200, 502]);
  });

  test("happens by chance, and with the same seed to the same requests", async () => {
    const runs = [];
    for (const seed of [7, 7, 8]) {
      const { outcome } = await faulty(`status:500,p=0.5,seed=${seed}`);
      const seen = [];
      for (let index = 0; index < 40; index += 1) seen.push(await outcome("/v2/"));
      runs.push(seen);
    }
    expect(runs[0]).toEqual(runs[1] ?? []);
    expect(runs[0]).not.toEqual(runs[2] ?? []);
    const hit = runs[0]?.filter((status) => status === 500).length ?? 0;
    expect(hit).toBeGreaterThan(8);
    expect(hit).toBeLessThan(32);
  });

  test("breaks a connection before anything was done", async () => {
    const { outcome, send } = await faulty("reset,method=POST,times=1");
    expect(await outcome(`${uploads}?digest=${digest}`, { ...start, body: content })).toBe(
      "broken",
    );
    expect((await send("HEAD", blob)).status).toBe(404);
    expect(await outcome(`${uploads}?digest=${digest}`, { ...start, body: content })).toBe(201);
  });

  test("breaks off an upload at a byte, of which what came before is kept", async () => {
    const { ask, outcome } = await faulty("reset,at=100000,method=PATCH,times=1");
    const location = (await ask(uploads, start)).headers.get("Location") ?? "";
    expect(await outcome(location, { method: "PATCH", body: content })).toBe("broken");
    const { headers } = await ask(location);
    expect(headers.get("Range")).toBe("0-99999");
    const rest = { method: "PATCH", body: content.slice(100_000) };
    expect(await outcome(location, rest)).toBe(202);
    expect(await outcome(`${location}?digest=${digest}`, { method: "PUT" })).toBe(201);
  });

  test("breaks off a download at a byte", async () => {
    const { ask, blob: push } = await faulty("reset,at=200000,range=yes");
    await push("acme/llama", content);
    expect((await (await ask(blob)).arrayBuffer()).byteLength).toBe(content.byteLength);
    const response = await ask(blob, { headers: { Range: "bytes=0-299999" } });
    let size = 0;
    const read = async () => {
      for await (const chunk of response.body ?? []) size += chunk.byteLength;
    };
    expect(response.status).toBe(206);
    await expect(read()).rejects.toThrow();
    expect(size).toBeLessThanOrEqual(200_000);
  });

  test("drops the answer after the work was done", async () => {
    const { outcome, send } = await faulty("drop,method=POST");
    expect(await outcome(`${uploads}?digest=${digest}`, { ...start, body: content })).toBe(
      "broken",
    );
    expect((await send("HEAD", blob)).status).toBe(200);
  });

  test("ends a body early as if that were all", async () => {
    const { ask, blob: push } = await faulty("truncate,at=1000,method=GET");
    await push("acme/llama", content);
    const bytes = new Uint8Array(await (await ask(blob)).arrayBuffer());
    expect(bytes).toEqual(content.slice(0, 1000));
  });

  test("changes one byte of a download or of an upload", async () => {
    const { ask, outcome, blob: push } = await faulty("corrupt,at=150000");
    expect(await outcome(`${uploads}?digest=${digest}`, { ...start, body: content })).toBe(400);
    await push("acme/llama", content);
    const bytes = new Uint8Array(await (await ask(blob)).arrayBuffer());
    const differing = [...bytes.entries()].filter(([at, byte]) => content[at] !== byte);
    expect(differing.map(([at]) => at)).toEqual([150_000]);
  });

  test("stalls until the client goes", async () => {
    const { ask, blob: push } = await faulty("stall,path=/v2/", "stall,at=5000,path=*/blobs/*");
    await push("acme/llama", content);
    await expect(ask("/v2/", impatient())).rejects.toThrow("timed out");
    const response = await ask(blob, impatient());
    expect(response.status).toBe(200);
    await expect(response.arrayBuffer()).rejects.toThrow("timed out");
  });

  test("slows a body down", async () => {
    const { ask, blob: push } = await faulty("slow:1000000,method=GET");
    await push("acme/llama", content);
    const began = performance.now();
    expect(new Uint8Array(await (await ask(blob)).arrayBuffer())).toEqual(content);
    expect(performance.now() - began).toBeGreaterThan(250);
  });
});
