import { expect } from "bun:test";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { findLibrary } from "../../scripts/parts.ts";
import { freePort } from "../support/free-port.ts";
import { startHub } from "../support/sources/hub.ts";
import { testWith } from "../support/programs/test-with.ts";
import { workbench } from "../support/programs/workbench.ts";

/** Olah is a proxy for hubs whose answers nobody here wrote. */
const { makeDirectory, ocibundle } = workbench();
const olah = "olah-0.5.4";

/** Python imports much before it listens, in milliseconds. */
const patience = 60_000;

async function listening(origin: string): Promise<void> {
  const until = Date.now() + patience;
  while (
    !(await fetch(origin).then(
      () => true,
      () => false,
    ))
  ) {
    if (Date.now() > until) throw new Error("olah does not listen");
    await Bun.sleep(200);
  }
}

testWith([olah], "a hub behind olah gives the same digests", async () => {
  const library = findLibrary(olah) ?? "";
  const cwd = await makeDirectory("olah");
  const hub = await startHub({
    "config.json": "{}",
    "model.safetensors": Buffer.alloc(9_000_000, 7),
    "sub/more.bin": Buffer.alloc(3000, 1),
  });
  const port = await freePort();
  const { host } = new URL(hub.endpoint);
  const child = Bun.spawn(
    [
      "python3",
      join(library, "bin", "olah-cli"),
      ...`--host 127.0.0.1 --port ${port} --hf-scheme http`.split(" "),
      ...`--hf-netloc ${host} --hf-lfs-netloc ${host} --repos-path ${join(cwd, "repos")}`.split(
        " ",
      ),
    ],
    {
      cwd,
      env: { ...process.env, HOME: cwd, PYTHONPATH: library },
      stdout: "ignore",
      stderr: "ignore",
    },
  );
  try {
    const proxy = `http://127.0.0.1:${port}`;
    await listening(proxy);
    const lock = async (endpoint: string, name: string): Promise<unknown[]> => {
      const env = { HF_ENDPOINT: endpoint, OCIBUNDLE_CACHE: join(cwd, `cache-${name}`) };
      await ocibundle(["lock", "hf://acme/tiny", "-o", name], { cwd, env });
      return (JSON.parse(await readFile(join(cwd, name), "utf8")) as { files: unknown[] }).files;
    };
    const direct = await lock(hub.endpoint, "direct.lock");
    expect(direct).toHaveLength(3);
    expect(await lock(proxy, "proxy.lock")).toEqual(direct);
    const built = ["build", "-o", "oci:out", "--weights", "hf://acme/tiny", "--lock", "proxy.lock"];
    await ocibundle(built, { cwd, env: { HF_ENDPOINT: proxy } });
  } finally {
    child.kill();
    await child.exited;
    await hub.close();
  }
});
