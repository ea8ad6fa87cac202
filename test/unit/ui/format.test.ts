import { describe, expect, test } from "bun:test";
import { formatDuration, formatRemaining, parseDuration } from "../../../src/ui/duration.ts";
import { cutName } from "../../../src/ui/cut-name.ts";
import { formatPart, formatRate, formatSize, parseSize } from "../../../src/ui/size.ts";
import { renderTable } from "../../../src/ui/table.ts";
import { escapeText, pad, truncate } from "../../../src/ui/text.ts";
import { renderTree } from "../../../src/ui/tree.ts";

const MiB = 1024 * 1024;

describe("sizes", () => {
  test.each([
    [0, "0 B"],
    [812, "812 B"],
    [999, "999 B"],
    [1023, "1023 B"],
    [1024, "1.0 KiB"],
    [99.94 * 1024, "99.9 KiB"],
    [99.95 * 1024, "100 KiB"],
    [1023.4 * 1024, "1023 KiB"],
    [1023.6 * 1024, "1.0 MiB"],
    [25 * MiB, "25.0 MiB"],
    [6.1 * 1024 * MiB, "6.1 GiB"],
    [16.06 * 1024 * MiB, "16.1 GiB"],
    [2 ** 53 - 1, "8.0 PiB"],
  ])("%d bytes are %s", (bytes, shown) => {
    expect(formatSize(bytes)).toBe(shown);
  });

  test("a part is in the unit of its whole", () => {
    expect(formatPart(9 * 1024 * MiB, 16.1 * 1024 * MiB)).toBe("9.0/16.1 GiB");
    expect(formatPart(0, 999)).toBe("0/999 B");
    expect(formatRate(812 * MiB)).toBe("812 MiB/s");
  });

  test.each([
    ["4096", 4096],
    ["0", 0],
    ["25mb", 25 * MiB],
    ["25MB", 25 * MiB],
    ["25 MiB", 25 * MiB],
    ["1.5gb", 1.5 * 1024 * MiB],
    ["3k", 3072],
    ["7b", 7],
    ["2TB", 2 * 1024 * 1024 * MiB],
  ])("%s is read", (text, bytes) => {
    expect(parseSize(text)).toBe(bytes);
  });

  test.each(["", "mb", "-1", "1,5gb", "25 bytes", "1e3", "25mbb", "99999tb", "0x10", "٣"])(
    "%j is refused",
    (text) => {
      expect(() => parseSize(text)).toThrow(`"${text}" is not a size`);
    },
  );
});

describe("durations", () => {
  test.each([
    [0, "0.0 s", "0s"],
    [420, "0.4 s", "1s"],
    [9_940, "9.9 s", "10s"],
    [9_960, "10 s", "10s"],
    [59_600, "1 min", "1m00s"],
    [200_000, "3 min 20 s", "3m20s"],
    [7_500_000, "2 h 5 min", "2h05m"],
    [86_400_000 * 3, "72 h", "3d"],
  ])("%d ms", (milliseconds, shown, left) => {
    expect(formatDuration(milliseconds)).toBe(shown);
    expect(formatRemaining(milliseconds)).toBe(left);
  });

  test.each([
    ["30s", 30_000],
    ["5m", 300_000],
    ["1h30m", 5_400_000],
    ["500ms", 500],
    ["7d", 604_800_000],
    ["2w", 1_209_600_000],
    ["30D", 2_592_000_000],
    ["1.5s", 1500],
    ["0", 0],
  ])("%s is read", (text, milliseconds) => {
    expect(parseDuration(text)).toBe(milliseconds);
  });

  test.each(["", "5", "s", "-5s", "5 s", "5sec", "1..5s", "9999999999999999d"])(
    "%j is refused",
    (text) => {
      expect(() => parseDuration(text)).toThrow(`"${text}" is not a duration`);
    },
  );
});

describe("text from outside", () => {
  test.each([
    ["llama-3.1-8b", "llama-3.1-8b"],
    ["Grüße 日本 👩‍💻", "Grüße 日本 👩‍💻"],
    ["a\nb\r\tc", String.raw`a\nb\r\tc`],
    ["\u001B[31mred\u001B]0;title\u0007", String.raw`\x1b[31mred\x1b]0;title\x07`],
    ["\u009B2J", String.raw`\x9b2J`],
    ["\u202Egpj.exe\u2066", String.raw`\u202egpj.exe\u2066`],
    ["a\u2028b\uFEFF", String.raw`a\u2028b\ufeff`],
    ["\uD800x", String.raw`\ud800x`],
    ["\u{E0041}", String.raw`\u{e0041}`],
  ])("%j is shown as %s", (text, shown) => {
    expect(escapeText(text)).toBe(shown);
  });

  test("is cut and filled by columns, not by characters", () => {
    expect(truncate("日本語", 6)).toBe("日本語");
    expect(truncate("日本語", 5)).toBe("日本…");
    expect(truncate("日本語", 4)).toBe("日…");
    expect(truncate("abc", 0)).toBe("");
    expect(pad("日本", 6)).toBe("日本  ");
    expect(pad("é", 3, "right")).toBe("  é");
  });
});

describe("tables and trees", () => {
  test("one long name does not widen the other lines without limit", () => {
    const long = "x".repeat(100_000);
    const rows = [[long, "1 B"], ...Array.from({ length: 1000 }, (_, at) => [`t${at}`, "2 B"])];
    const table = renderTable(rows);
    expect(table).toContain(`${long}  1 B\n`);
    expect(table).toMatch(/^t7 {200,300}2 B$/m);
    expect(table.length).toBeLessThan(500_000);
  });

  test("columns are as wide as their widest, sizes to the right", () => {
    const rows = [
      ["a", { text: "1 B", align: "right" }, ""],
      ["日本", { text: "16.1 GB", align: "right" }, "x"],
    ] as const;
    expect(renderTable(rows, { head: ["NAME", "SIZE", "USED"] })).toBe(
      ["NAME  SIZE     USED", "a         1 B", "日本  16.1 GB  x", ""].join("\n"),
    );
  });

  test("siblings are aligned, and the last one closes its branch", () => {
    const tree = {
      cells: ["registry.example.com/acme/llama:v1"],
      children: [
        {
          cells: ["image", "linux/amd64", { text: "6.1 GB", align: "right" }],
          children: [{ cells: ["layer\n1"] }, { cells: ["layer 2"] }],
        },
        {
          cells: ["weights", "1 file", { text: "16.1 GB", align: "right" }],
          children: [{ cells: ["a"] }],
        },
      ],
    } as const;
    expect(renderTree(tree)).toBe(
      `registry.example.com/acme/llama:v1
├─ image    linux/amd64   6.1 GB
│  ├─ layer\\n1
│  └─ layer 2
└─ weights  1 file       16.1 GB
   └─ a
`,
    );
  });
});

describe("a name that is cut", () => {
  test("keeps the number that tells one shard or one layer from another", () => {
    expect(cutName("model-00003-of-00012.safetensors", 24)).toBe("model-00003….safetensors");
    const tensor = "model.layers.10.self_attn.q_proj.weight";
    expect(cutName(tensor, 39)).toBe(tensor);
    expect(cutName(tensor, 34)).toBe("model.….10.self_attn.q_proj.weight");
    expect(cutName(tensor, 30)).toBe("mo….10.self_attn.q_proj.weight");
  });
});
