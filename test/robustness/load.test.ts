import { expect, test } from "bun:test";
import { freemem } from "node:os";
import { join } from "node:path";
import {
  type CrowdSize,
  fullCrowd,
  gatherCrowd,
  type Member,
  memoryNeeded,
  serverMemoryLimit,
} from "../../scripts/crowd.ts";
import { peakMemory } from "../../scripts/peak-memory.ts";
import { startEmbeddedRegistry } from "../../scripts/registries.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { filesBelow, openBench, sameBytes } from "../support/attacks/program-run.ts";

/** The sources start so much more slowly than the binary that fewer have to do. */
const size: CrowdSize = process.env["OCIBUNDLE_BINARY"] ? fullCrowd : { pushes: 5, pulls: 20 };

/** All at once on a machine with other things to do; in milliseconds. */
const patience = 300_000;

const short = freemem() < memoryNeeded(size) && process.env["CI"] !== "true";
const needs = `(needs ${Math.ceil(memoryNeeded(size) / 1e9)} GB of memory)`;

interface Manifest {
  config?: { digest: string };
  layers?: { digest: string }[];
  manifests?: { digest: string }[];
}

/** What the repository of a push has under its tag: every manifest and blob of it, each checked. */
async function readPushed(address: string, { model, stdout }: Member, known: Set<string>) {
  const [repository, tag = ""] = model.reference.split(":");
  const get = async (path: string, digest: string): Promise<Uint8Array> => {
    const response = await fetch(`http://${address}/v2/${repository}/${path}`);
    const bytes = new Uint8Array(await response.arrayBuffer());
    expect({ path, status: response.status, digest: digestOf(bytes) }).toEqual({
      path,
      status: 200,
      digest: digest as `sha256:${string}`,
    });
    return bytes;
  };
  const manifest = async (reference: string, digest: string): Promise<Manifest> =>
    JSON.parse(new TextDecoder().decode(await get(`manifests/${reference}`, digest))) as Manifest;

  const said = JSON.parse(stdout) as { model: { digest: string } };
  const root = said.model.digest;
  const children = (await manifest(tag, root)).manifests ?? [];
  const blobs = new Set<string>();
  for (const { digest } of children) {
    const { config, layers = [] } = await manifest(digest, digest);
    for (const blob of [...(config === undefined ? [] : [config]), ...layers]) {
      blobs.add(blob.digest);
    }
  }
  for (const digest of blobs) {
    const blob = await fetch(`http://${address}/v2/${repository}/blobs/${digest}`, {
      method: "HEAD",
    });
    expect({ digest, status: blob.status }).toEqual({ digest, status: 200 });
    if (!known.has(digest)) await get(`blobs/${digest}`, digest);
    known.add(digest);
  }
  return { root, blobs };
}

test.skipIf(short)(
  `${size.pushes} pushes and ${size.pulls} pulls at once all succeed, and the server stays small ${short ? needs : ""}`.trim(),
  async () => {
    using bench = openBench("load");
    const storage = bench.path("registry");
    const registry = await startEmbeddedRegistry(storage);
    try {
      const { members } = await gatherCrowd(bench.directory, registry.address, size);
      const peak = peakMemory(registry.pid);

      const failed = members.filter(({ code }) => code !== 0);
      expect(failed.map(({ code, stderr }) => ({ code, stderr }))).toEqual([]);

      const pushes = members.filter(({ target }) => target === undefined);
      const known = new Set<string>();
      const roots = new Set<string>();
      for (const push of pushes) {
        const { root, blobs } = await readPushed(registry.address, push, known);
        roots.add(root);
        for (const { digest } of push.model.files) expect(blobs.has(digest)).toBe(true);
      }
      expect(roots.size).toBe(size.pushes);

      for (const { model, target = "" } of members.filter(
        (member) => member.target !== undefined,
      )) {
        for (const { name, bytes } of model.files) {
          expect(sameBytes(join(target, "src/weights", name), bytes)).toBe(true);
        }
        expect(filesBelow(target).length).toBe(model.files.length + 1);
      }

      const left = filesBelow(storage).filter((path) => /(?:^tmp|\/_uploads)\//.test(path));
      expect(left).toEqual([]);
      if (process.platform === "linux") expect(peak).toBeLessThan(serverMemoryLimit);
    } finally {
      await registry.stop();
    }
  },
  patience,
);
