import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, symlink, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { openArchive, openLayoutArchive } from "../../../../src/store/archive/archive.ts";
import { tarEntries, type TarEntry } from "../../../../src/store/archive/entries.ts";
import { streamTarSource } from "../../../../src/store/archive/source.ts";
import { paxRecord, tarBytes, tarEntry, type TestEntry } from "../../../support/store/tar-bytes.ts";
import { failureText } from "../../../support/failure.ts";

const { signal } = new AbortController();
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "ocibundle-archive-"));
});
afterAll(() => rm(directory, { recursive: true, force: true }));

let files = 0;
async function archiveOf(bytes: Uint8Array): Promise<string> {
  files += 1;
  const path = join(directory, `${files}.tar`);
  await writeFile(path, bytes);
  return path;
}
const opened = async (...entries: readonly TestEntry[]) =>
  openArchive(await archiveOf(tarBytes(...entries)), "it", signal);

/** A header's checksum field, counted with spaces in its place. */
function checksum(block: Uint8Array): string {
  const counted = Uint8Array.from(block).fill(0x20, 148, 156);
  const sum = counted.slice(0, 512).reduce((total, byte) => total + byte, 0);
  return `${sum.toString(8).padStart(6, "0")}\0 `;
}

/** A header with these bytes in its size field. */
function headerOfSize(size: Uint8Array | string): Buffer {
  const block = tarEntry({ name: "a" });
  block.fill(0, 124, 136).set(Buffer.from(size), 124);
  block.write(checksum(block), 148, "latin1");
  return block;
}

async function contentOf(path: string, archive: Awaited<ReturnType<typeof openArchive>>) {
  const place = archive.locate(path);
  if (place === undefined) return undefined;
  const bytes = await readFile(place.path);
  return bytes.subarray(place.offset, place.offset + place.size).toString();
}

describe("an archive", () => {
  test("says where its files lie", async () => {
    const archive = await opened(
      { name: "./", type: "Directory" },
      { name: "a/", type: "Directory" },
      { name: "a/one", content: "first" },
      { name: "./b//two", content: "x".repeat(513) },
      { name: "empty" },
    );
    expect([...archive.names()]).toEqual(["a/one", "b/two", "empty"]);
    expect(await contentOf("a/one", archive)).toBe("first");
    expect(await contentOf("b/two", archive)).toBe("x".repeat(513));
    expect(await contentOf("empty", archive)).toBe("");
    expect(archive.locate("a")).toBeUndefined();
  });

  for (const format of ["gnu", "pax", "ustar"]) {
    test(`that tar wrote in the format ${format} is read, long names and links too`, async () => {
      const tree = join(directory, `tree-${format}`);
      // Over 100 characters, and in ustar split at a slash.
      const deep = join("d".repeat(80), "e".repeat(60));
      await mkdir(join(tree, deep), { recursive: true });
      await writeFile(join(tree, deep, "file"), "deep");
      await writeFile(join(tree, "ünïcode name"), "unicode");
      // ustar has no room for a long link.
      const target = format === "ustar" ? "ünïcode name" : join(deep, "file");
      await symlink(target, join(tree, "link"));
      const path = join(directory, `${format}.tar`);
      execFileSync("tar", ["-C", tree, `--format=${format}`, "-cf", path, "."]);
      const archive = await openArchive(path, "it", signal);
      expect(await contentOf(`${deep}/file`, archive)).toBe("deep");
      expect(await contentOf("ünïcode name", archive)).toBe("unicode");
      expect(await contentOf("link", archive)).toBe(format === "ustar" ? "unicode" : "deep");
    });
  }

  test("follows hard and symbolic links within itself, forwards too", async () => {
    const archive = await opened(
      { name: "x/layer.tar", type: "SymbolicLink", target: "../y/layer.tar" },
      { name: "y/layer.tar", type: "Link", target: "z/layer.tar" },
      { name: "z/layer.tar", content: "the layer" },
    );
    expect(await contentOf("x/layer.tar", archive)).toBe("the layer");
  });

  test("has sizes beyond 8 GiB, without the bytes being read", async () => {
    const size = 9 * 1024 ** 3;
    const path = await archiveOf(tarEntry({ name: "huge", size }));
    await truncate(path, 512 + size + 1024);
    const archive = await openArchive(path, "it", signal);
    expect(archive.locate("huge")).toEqual({ path, offset: 512, size });
  });

  test("takes name and size from pax records, to the byte", async () => {
    const records =
      paxRecord("comment", "a\nb=c") + paxRecord("path", "päth") + paxRecord("size", "5");
    const bytes = Buffer.concat([
      tarEntry({ name: "pax", type: "ExtendedHeader", content: records }),
      tarEntry({ name: "short", size: 0 }),
      Buffer.from("12345".padEnd(512, "\0")),
      tarEntry({ name: "next", content: "n" }),
      Buffer.alloc(1024),
    ]);
    const archive = await openArchive(await archiveOf(bytes), "it", signal);
    expect(await contentOf("päth", archive)).toBe("12345");
    expect(await contentOf("next", archive)).toBe("n");
  });

  test("has sizes in base 256 that a pax record repeats", async () => {
    const size = 9 * 1024 ** 3;
    const pax = {
      name: "p",
      type: "ExtendedHeader" as const,
      content: paxRecord("size", `${size}`),
    };
    // GNU tar's header has base 256, libarchive's the largest octal number, Go's and Python's zero.
    for (const inHeader of [size, 8 ** 11 - 1, 0]) {
      const head = Buffer.concat([tarEntry(pax), tarEntry({ name: "huge", size: inHeader })]);
      const path = await archiveOf(head);
      await truncate(path, head.byteLength + size + 1024);
      const archive = await openArchive(path, "it", signal);
      expect(archive.locate("huge")).toEqual({ path, offset: head.byteLength, size });
    }
  });

  test("has the last of several entries of one name, as tar does, and says so", async () => {
    const warnings: string[] = [];
    const path = await archiveOf(
      tarBytes({ name: "a", content: "first" }, { name: "b" }, { name: "./a", content: "last" }),
    );
    const archive = await openArchive(path, "it", signal, ({ message }) => warnings.push(message));
    expect(await contentOf("a", archive)).toBe("last");
    expect(warnings).toEqual(['it: entry "a" appears more than once; the last one is used']);
  });

  const refused: Record<string, { entries: TestEntry[]; says: string }> = {
    '".." in a path': {
      entries: [{ name: "a/../../etc/passwd" }],
      says: 'file: it: entry "a/../../etc/passwd" has ".." in its path',
    },
    "an absolute path": {
      entries: [{ name: "/etc/passwd" }],
      says: 'file: it: entry "/etc/passwd" has an absolute path',
    },
    "a drive letter": {
      entries: [{ name: "C:\\x" }],
      says: 'file: it: entry "C:\\\\x" has an absolute path',
    },
    "a pax size that is smaller than the header's": {
      entries: [
        { name: "p", type: "ExtendedHeader", content: paxRecord("size", "5") },
        { name: "s", content: "0123456789" },
      ],
      says: 'file: it: entry "s" has two sizes: 10 in its header, 5 in its pax header',
    },
    "a pax size that is larger than the header's": {
      entries: [
        { name: "p", type: "ExtendedHeader", content: paxRecord("size", "11") },
        { name: "s", content: "0123456789" },
      ],
      says: 'file: it: entry "s" has two sizes: 10 in its header, 11 in its pax header',
    },
    "a device": {
      entries: [{ name: "sda", type: "BlockDevice" }],
      says: 'file: it: entry "sda" has the unsupported type BlockDevice',
    },
    "an old sparse file": {
      entries: [{ name: "s", type: "SparseFile" }],
      says: 'file: it: entry "s" has the unsupported type SparseFile',
    },
    "a pax sparse file": {
      entries: [
        { name: "p", type: "ExtendedHeader", content: paxRecord("GNU.sparse.major", "1") },
        { name: "s" },
      ],
      says: "file: it: sparse files are not supported",
    },
    "a pax size that is no number": {
      entries: [
        { name: "p", type: "ExtendedHeader", content: paxRecord("size", "-1") },
        { name: "s" },
      ],
      says: 'file: it: "-1" is not a size',
    },
    "malformed pax records": {
      entries: [{ name: "p", type: "ExtendedHeader", content: "999 path=x\n" }, { name: "s" }],
      says: "file: it: a malformed pax header",
    },
    "a pax header of gigabytes": {
      entries: [{ name: "p", type: "ExtendedHeader", size: 2 ** 31 }],
      says: "file: it: an extended header of 2147483648 bytes",
    },
    "content that is cut off": {
      entries: [{ name: "long", content: "x", size: 5000 }],
      says: 'integrity: it: entry "long" is truncated: 1536 of 5000 bytes',
    },
  };
  for (const [what, { entries, says }] of Object.entries(refused)) {
    test(`with ${what} is refused by name`, async () => {
      expect(await failureText(opened(...entries))).toBe(says);
    });
  }

  const broken: Record<string, { target: string; says: string }> = {
    "out of the archive": {
      target: "../../outside",
      says: 'file: it: entry "a/link" links to "../../outside", which is outside the archive',
    },
    "to an absolute path": {
      target: "/etc/passwd",
      says: 'file: it: entry "a/link" links to "/etc/passwd", which is outside the archive',
    },
    "to nothing": {
      target: "missing",
      says: 'file: it: entry "a/link" links to "a/missing", which is missing',
    },
    "to itself": { target: "link", says: 'file: it: the links of entry "a/link" form a loop' },
  };
  for (const [where, { target, says }] of Object.entries(broken)) {
    test(`with a link ${where} refuses to follow it`, async () => {
      const archive = await opened({ name: "a/link", type: "SymbolicLink", target });
      expect(await failureText((async () => archive.locate("a/link"))())).toBe(says);
    });
  }

  test("that is something else says so", async () => {
    const says: Record<string, Uint8Array> = {
      "file: it: not a tar archive": Buffer.from("hello world ".repeat(100)),
      "file: it: the archive is compressed with gzip": gzipSync(tarBytes({ name: "a" })),
      "file: it: the archive is compressed with bzip2": Buffer.from("BZh91AY&SY"),
      "file: it: damaged at byte 512": Buffer.concat([
        tarEntry({ name: "a" }),
        Buffer.alloc(512, 1),
      ]),
    };
    for (const [message, bytes] of Object.entries(says)) {
      expect(await failureText(openArchive(await archiveOf(bytes), "it", signal))).toBe(message);
    }
    expect(await failureText(openArchive(await archiveOf(Buffer.alloc(0)), "it", signal))).toBe(
      "file: it: not a tar archive",
    );
    expect(await failureText(openArchive(join(directory, "none"), "it", signal))).toBe(
      "file: it: no such file",
    );
    expect(await failureText(openArchive(directory, "it", signal))).toBe("file: it: not a file");
  });

  test("that is cut off anywhere says that it is not whole", async () => {
    const pax = { name: "p", type: "ExtendedHeader", content: paxRecord("comment", "c") } as const;
    const whole = tarBytes({ name: "first", content: "1" }, pax, { name: "last", content: "2" });
    const marked = whole.byteLength - 1024;
    for (let length = 512; length <= marked; length += 1) {
      const path = await archiveOf(whole.subarray(0, length));
      expect(await failureText(openArchive(path, "it", signal))).toMatch(
        /^integrity: it: .*truncated/,
      );
    }
    // One block of zeros is an end, too: some writers leave it at that.
    const path = await archiveOf(whole.subarray(0, marked + 512));
    expect((await openArchive(path, "it", signal)).locate("more")).toBeUndefined();
  });

  test("ends in zeros, however many, and in nothing else", async () => {
    const whole = tarBytes({ name: "a", content: "1" });
    const zeros = await archiveOf(Buffer.concat([whole, Buffer.alloc(200_001)]));
    expect(await contentOf("a", await openArchive(zeros, "it", signal))).toBe("1");
    for (const rubbish of [Buffer.from("x"), whole, Buffer.concat([Buffer.alloc(99_000), whole])]) {
      const at = whole.byteLength + rubbish.findIndex((byte) => byte !== 0);
      expect(
        await failureText(
          openArchive(await archiveOf(Buffer.concat([whole, rubbish])), "it", signal),
        ),
      ).toBe(`integrity: it: data follows its end, at byte ${at}`);
    }
    // A lone block of zeros between two entries hides the second from some tools.
    const hidden = Buffer.concat([tarEntry({ name: "a" }), Buffer.alloc(512), whole]);
    expect(await failureText(openArchive(await archiveOf(hidden), "it", signal))).toMatch(
      /data follows/,
    );
  });

  test("with a hostile length in its header is refused, whatever the length", async () => {
    const lengths = [
      Buffer.alloc(12, 0xff),
      Buffer.from([0xff, ...Buffer.alloc(10, 0xff), 0x00]),
      Buffer.from([0x80, ...Buffer.alloc(11, 0xff)]),
      Buffer.from([0x80, 0, 0, 0, 0, 0x1f, ...Buffer.alloc(6, 0xff)]),
      "99999999999",
      "-0000000001",
      "rubbish....",
      "77777777777",
    ];
    for (const type of [undefined, "ExtendedHeader", "NextFileHasLongPath"] as const) {
      for (const length of lengths) {
        const bytes = headerOfSize(length);
        if (type !== undefined) bytes[156] = type === "ExtendedHeader" ? 0x78 : 0x4c;
        if (type !== undefined) bytes.write(checksum(bytes), 148, "latin1");
        const path = await archiveOf(Buffer.concat([bytes, Buffer.alloc(1024)]));
        expect(await failureText(openArchive(path, "it", signal))).toMatch(
          /^(?:file|integrity): it: /,
        );
      }
    }
  });

  test("of something else is no layout", async () => {
    const path = await archiveOf(tarBytes({ name: "manifest.json", content: "[]" }));
    expect(await failureText(openLayoutArchive(path, "oci-archive:x", signal))).toBe(
      'file: oci-archive:x: not an OCI image layout: no file "oci-layout"',
    );
  });

  test("stops when it is cancelled", async () => {
    const reason = new Error("enough");
    const path = await archiveOf(tarBytes({ name: "a" }));
    await expect(openArchive(path, "it", AbortSignal.abort(reason))).rejects.toBe(reason);
  });
});

describe("an archive that arrives", () => {
  const bytes = tarBytes(
    { name: "one", content: "1".repeat(1000) },
    { name: "two", content: "2".repeat(1024) },
    { name: "three", content: "3" },
  );

  async function* arriving(chunkSize: number) {
    for (let at = 0; at < bytes.byteLength; at += chunkSize) {
      yield bytes.subarray(at, at + chunkSize);
    }
  }

  for (const chunkSize of [1, 7, 512, 1000, 100_000]) {
    test(`in chunks of ${chunkSize} gives the same entries, read or not`, async () => {
      const source = streamTarSource(arriving(chunkSize));
      const seen: TarEntry[] = [];
      let content = "";
      for await (const entry of tarEntries(source, "it")) {
        seen.push(entry);
        if (entry.name === "one") continue;
        // Of "two" only a part is read: the rest is passed over.
        const wanted = entry.name === "two" ? 10 : entry.size;
        for await (const chunk of source.chunks(wanted)) content += Buffer.from(chunk).toString();
      }
      expect(seen.map(({ name, size }) => [name, size])).toEqual([
        ["one", 1000],
        ["two", 1024],
        ["three", 1],
      ]);
      expect(content).toBe(`${"2".repeat(10)}3`);
    });
  }

  test("without the zeros at its end is read where something else tells that it is whole", async () => {
    const unmarked = bytes.subarray(0, -1024);
    const names = async (end: number, onUnmarked?: () => void) => {
      const chunks = new Blob([Uint8Array.from(unmarked.subarray(0, end))]).stream();
      const found: string[] = [];
      for await (const { name } of tarEntries(streamTarSource(chunks), "it", { onUnmarked })) {
        found.push(name);
      }
      return found;
    };
    let told = 0;
    const tell = (): void => void (told += 1);
    expect(await names(unmarked.length, tell)).toEqual(["one", "two", "three"]);
    expect(told).toBe(1);
    expect(await failureText(names(unmarked.length))).toBe(
      "integrity: it: truncated: the end mark is missing",
    );
    // What breaks off within an entry is not whole, whoever reads it.
    expect(await failureText(names(1000, tell))).toContain('entry "one" is truncated');
    expect(await failureText(names(1700, tell))).toContain("truncated in the header");
    expect(told).toBe(1);
  });

  test("and breaks off names the entry", async () => {
    const cut = new Blob([Uint8Array.from(bytes.subarray(0, 1000))]).stream();
    const all = (async () => {
      for await (const entry of tarEntries(streamTarSource(cut), "it")) void entry;
    })();
    expect(await failureText(all)).toBe(
      'integrity: it: entry "one" is truncated: 488 of 1000 bytes',
    );
  });
});
