import { describe, expect } from "bun:test";
import { lstat, mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findLibrary } from "../../scripts/parts.ts";
import { type HubRelease, hubReleases, testWith } from "../support/programs/test-with.ts";
import { realRegistries } from "../support/programs/real-registries.ts";
import { workbench } from "../support/programs/workbench.ts";

/** What `pull --hf-cache` writes, read by releases of huggingface_hub that have no network. */
const { makeDirectory, ocibundle, run, shared } = workbench();

const [first] = realRegistries;
if (first === undefined) throw new Error("no registry to test with");
const registry = shared(first.start);

const weights = Buffer.alloc(3_000_000, "weights");
const config = '{"hidden_size": 64}\n';

const pushed = shared(async (cwd) => {
  const { address } = await registry();
  await mkdir(join(cwd, "weights", "tokenizer"), { recursive: true });
  await writeFile(join(cwd, "weights", "model.safetensors"), weights);
  await writeFile(join(cwd, "weights", "config.json"), config);
  // The same bytes under two names, and a file without any.
  await writeFile(join(cwd, "weights", "tokenizer", "config.json"), config);
  await writeFile(join(cwd, "weights", "empty.txt"), "");
  const reference = `${address}/acme/tiny:v1`;
  await ocibundle(["push", reference, "./weights"], { cwd });
  return { reference, stop: () => Promise.resolve() };
});

interface Found {
  snapshot: string;
  byTag: string;
  file: string;
  missing: string;
  warnings: string[];
  size: number;
  repos: { id: string; revisions: { commit: string; refs: string[]; files: string[] }[] }[];
}

const look = async (release: HubRelease, hub: string): Promise<Found> =>
  JSON.parse(
    await run(
      [
        "python3",
        join(import.meta.dir, "hub-cache.py"),
        "acme/tiny",
        "v1",
        "tokenizer/config.json",
      ],
      {
        env: {
          PYTHONPATH: findLibrary(release) ?? "",
          PYTHONDONTWRITEBYTECODE: "1",
          HF_HUB_CACHE: hub,
          HF_HUB_OFFLINE: "1",
          HF_HUB_DISABLE_TELEMETRY: "1",
        },
      },
    ),
  ) as Found;

/** Bytes that the regular files below directories take, each inode once. */
async function diskUse(directories: readonly string[]): Promise<number> {
  const sizes = new Map<number, number>();
  for (const directory of directories) {
    for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
      if (!entry.isFile()) continue;
      const { ino, blocks } = await lstat(join(entry.parentPath, entry.name));
      sizes.set(ino, blocks * 512);
    }
  }
  return [...sizes.values()].reduce((sum, size) => sum + size, 0);
}

describe.each(hubReleases)("%s, without a network,", (release) => {
  testWith([...first.parts, release], "finds a model that was pulled for it", async () => {
    const { reference } = await pushed();
    const [hub, cache] = [await makeDirectory("hub"), await makeDirectory("cache")];
    const env = { HF_HUB_CACHE: hub, OCIBUNDLE_CACHE: cache };
    const pull = ["pull", reference, "--hf-cache", "acme/tiny", "--json"];
    const { hfCache } = JSON.parse(await ocibundle(pull, { env })) as {
      hfCache: { commit: string; snapshot: string };
    };
    expect(hfCache.commit).toMatch(/^[0-9a-f]{40}$/);

    const found = await look(release, hub);
    expect(found.snapshot).toBe(hfCache.snapshot);
    expect(found.byTag).toBe(hfCache.snapshot);
    expect(found.file).toBe(new Bun.CryptoHasher("sha256").update(config).digest("hex"));
    expect(found.missing).toMatch(/EntryNotFound/);
    expect(found.warnings).toEqual([]);
    expect(found.size).toBe(weights.length + config.length);
    const names = ["config.json", "empty.txt", "model.safetensors", "tokenizer/config.json"];
    expect(found.repos).toEqual([
      {
        id: "acme/tiny",
        revisions: [
          {
            commit: hfCache.commit,
            refs: ["main", "v1"],
            files: names.map((name) => join(hfCache.snapshot, name)),
          },
        ],
      },
    ]);
    // One copy of the weights on the disk, beside the cache and the small files.
    expect(await diskUse([hub, cache])).toBeLessThan(weights.length * 1.2);
  });

  // Earlier releases take any snapshot for whole.
  if (/-0\./.test(release)) return;
  testWith([...first.parts, release], "sees that a snapshot is not whole", async () => {
    const { reference } = await pushed();
    const hub = await makeDirectory("hub");
    const only = ["--only", "*.safetensors", "-o", hub];
    await ocibundle(["pull", reference, "--hf-cache", "acme/tiny", ...only]);
    const found = await look(release, hub);
    expect(found.snapshot).toMatch(/Error$/);
    expect(found.warnings).toEqual([]);
    await ocibundle(["pull", reference, "--hf-cache", "acme/tiny", "-o", hub]);
    expect((await look(release, hub)).file).toHaveLength(64);
  });
});
