import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { digestHex, digestOf } from "../../../../src/oci/digest.ts";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { openLayoutArchive } from "../../../../src/store/archive/archive.ts";
import {
  createLayoutArchive,
  type LayoutArchiveWriter,
} from "../../../../src/store/archive/writer.ts";

const { signal } = new AbortController();
let directory: string;
let path: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "ocibundle-writer-"));
  path = join(directory, "out.tar");
});
afterEach(() => rm(directory, { recursive: true, force: true }));

const blobOf = (text: string) => {
  const bytes = Buffer.from(text);
  return {
    descriptor: { mediaType: "a/b", digest: digestOf(bytes), size: bytes.byteLength },
    label: text.slice(0, 10),
    group: "image",
    source: () => Promise.resolve({ kind: "bytes" as const, bytes }),
  };
};

async function writeImage(writer: LayoutArchiveWriter): Promise<void> {
  const config = blobOf("{}");
  await writer.writeBlob(config, { signal });
  await writer.writeBlob(blobOf("x".repeat(1000)), { signal });
  const bytes = Buffer.from(
    JSON.stringify({
      schemaVersion: 2,
      mediaType: mediaTypes.ociManifest,
      config: { ...config.descriptor, mediaType: mediaTypes.ociConfig },
      layers: [],
    }),
  );
  const manifest = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes };
  await writer.writeManifest(manifest, "v1", signal);
}

describe("an archive that is written", () => {
  test("appears whole, and only at the end", async () => {
    await writeFile(path, "");
    const writer = await createLayoutArchive(path);
    await writeImage(writer);
    expect(await readFile(path, "utf8")).toBe("");
    await writer.commit(signal);
    await writer.discard();
    expect(await readdir(directory)).toEqual(["out.tar"]);
    const reader = await openLayoutArchive(path, "it", signal);
    expect((await reader.readRoot("v1", signal)).mediaType).toBe(mediaTypes.ociManifest);
  });

  test("leaves nothing behind when it is given up", async () => {
    const writer = await createLayoutArchive(path);
    await writeImage(writer);
    await writer.discard();
    await writer.discard();
    expect(await readdir(directory)).toEqual([]);
  });

  test("is the same bytes for the same content, and what tar reads", async () => {
    const digests: string[] = [];
    for (const name of ["one.tar", "two.tar"]) {
      const writer = await createLayoutArchive(join(directory, name));
      await writeImage(writer);
      await writer.commit(signal);
      digests.push(digestOf(await readFile(join(directory, name))));
    }
    expect(digests[0]).toBe(digests[1] ?? "");
    const listed = execFileSync("tar", ["-tf", join(directory, "one.tar")], { encoding: "utf8" });
    const names = listed.trim().split("\n");
    expect(names).toHaveLength(5);
    expect(names).toContain("oci-layout");
    expect(names).toContain("index.json");
    expect(names).toContain(`blobs/sha256/${digestHex(digestOf("{}"))}`);
    expect(() =>
      execFileSync("tar", ["-xf", join(directory, "one.tar"), "-C", directory]),
    ).not.toThrow();
    const blob = join(directory, "blobs", "sha256", digestHex(digestOf("x".repeat(1000))));
    expect(await readFile(blob, "utf8")).toBe("x".repeat(1000));
  });

  test("goes on after a blob that was refused, as if it had never been there", async () => {
    const clean = join(directory, "clean.tar");
    for (const [file, withFault] of [
      [path, true],
      [clean, false],
    ] as const) {
      const writer = await createLayoutArchive(file);
      if (withFault) {
        const wrong = { ...blobOf("y".repeat(100_000)), descriptor: blobOf("z").descriptor };
        const longer = { ...wrong.descriptor, size: 100_000 };
        const refused = writer.writeBlob({ ...wrong, descriptor: longer }, { signal });
        await expect(refused).rejects.toMatchObject({ code: "integrity" });
      }
      await writeImage(writer);
      await writer.commit(signal);
    }
    expect(digestOf(await readFile(path))).toBe(digestOf(await readFile(clean)));
  });

  test("that can't be written says where", async () => {
    await writeFile(path, "");
    await expect(createLayoutArchive(join(path, "out.tar"))).rejects.toMatchObject({
      code: "conflict",
      message: `"${join(path, "out.tar")}": cannot write: a part of its path is not a directory`,
    });
  });

  test("does not make directories, as no other file that is named does", async () => {
    const inside = join(directory, "missing", "out.tar");
    await expect(createLayoutArchive(inside)).rejects.toMatchObject({
      code: "file",
      message: `"${inside}": cannot write: no such file or directory`,
      hint: "create the directory, or write to another one",
    });
    expect(await readdir(directory)).toEqual([]);
  });

  test("takes the place of an archive, also of another program's and of one that was cut off", async () => {
    execFileSync("tar", ["-cf", path, "-C", await layoutFiles(), "index.json", "oci-layout"]);
    for (const before of [await readFile(path), (await written()).subarray(0, 1500)]) {
      await writeFile(path, before);
      expect(digestOf(await written())).not.toBe(digestOf(before));
    }
  });

  test("does not take the place of anything else, whenever that appeared", async () => {
    execFileSync("tar", ["-cf", path, "-C", await layoutFiles(), "index.json"]);
    const refused = { code: "conflict", message: `"${path}" exists and is not an OCI archive` };
    for (const before of ["notes", "x".repeat(2000), await readFile(path)]) {
      await writeFile(path, before);
      await expect(createLayoutArchive(path)).rejects.toMatchObject(refused);
      expect(digestOf(await readFile(path))).toBe(digestOf(before));
    }
    await rm(path);
    const writer = await createLayoutArchive(path);
    await writeImage(writer);
    await writeFile(path, "notes");
    await expect(writer.commit(signal)).rejects.toMatchObject(refused);
    await writer.discard();
    expect(await readFile(path, "utf8")).toBe("notes");
  });
});

/** A directory with the two files of a layout, whose contents do not matter. */
async function layoutFiles(): Promise<string> {
  for (const name of ["index.json", "oci-layout"]) await writeFile(join(directory, name), "{}");
  return directory;
}

async function written(): Promise<Buffer> {
  const writer = await createLayoutArchive(path);
  await writeImage(writer);
  await writer.commit(signal);
  await writer.discard();
  return readFile(path);
}
