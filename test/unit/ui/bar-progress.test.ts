import { describe, expect, test } from "bun:test";
import { drawOn } from "../../support/cli/terminal.ts";

const GiB = 1024 ** 3;
const MiB = 1024 ** 2;

describe("bars", () => {
  test("show items with sizes, rate and what is left, and a total", () => {
    const { terminal, clock, progress } = drawOn("bar");
    const { emit } = progress;
    emit({ type: "phase", phase: "upload", items: 2, bytes: 22.2 * GiB });
    emit({ type: "start", phase: "upload", item: "linux/amd64", group: "image", bytes: 6.1 * GiB });
    emit({ type: "done", phase: "upload", item: "linux/amd64", outcome: "present" });
    emit({
      type: "start",
      phase: "upload",
      item: "llama-3.1-8b",
      group: "weights",
      bytes: 16.1 * GiB,
    });
    for (let second = 0; second < 10; second += 1) {
      emit({ type: "progress", phase: "upload", item: "llama-3.1-8b", bytes: 805 * MiB });
      clock.pass(1000);
    }
    expect(terminal.lines()).toEqual([
      "  image    linux/amd64                                   6.1 GiB   up to date",
      "  weights  llama-3.1-8b  ███████████▋               7.9/16.1 GiB   805 MiB/s   eta 11s",
      "  upload   1 of 2 items  ███████████████           14.0/22.2 GiB   805 MiB/s   eta 11s",
    ]);
    emit({ type: "progress", phase: "upload", item: "llama-3.1-8b", bytes: 8050 * MiB });
    emit({ type: "done", phase: "upload", item: "llama-3.1-8b", outcome: "sent" });
    progress.close();
    expect(terminal.lines()).toEqual([
      "  image    linux/amd64                              6.1 GiB   up to date",
      "  weights  llama-3.1-8b  ████████████████████████  16.1 GiB",
      "  upload   2 items       ████████████████████████  22.2 GiB   1 up to date, 1 sent",
    ]);
  });

  test("are not drawn for what is up to date, which counts as done", () => {
    const { terminal, clock, progress } = drawOn("bar");
    const { emit } = progress;
    const done = { type: "done", group: "weights", file: "a.gguf" } as const;
    emit({ type: "phase", phase: "check", items: 2, bytes: 3 * GiB });
    emit({ ...done, phase: "check", item: "a", bytes: GiB, outcome: "kept" });
    clock.pass(100);
    expect(terminal.lines()).toEqual([
      "  weights  a.gguf                                  1.0 GiB   up to date",
      "  check    1 of 2 items  ████████████",
    ]);
    emit({ type: "phase", phase: "download", items: 2, bytes: 3 * GiB });
    emit({ ...done, phase: "download", item: "a", bytes: GiB, outcome: "cached" });
    emit({ type: "start", phase: "download", item: "b", group: "weights", bytes: 2 * GiB });
    emit({ type: "progress", phase: "download", item: "b", bytes: GiB / 2 });
    clock.pass(1000);
    expect(terminal.lines()).toEqual([
      "  weights   a.gguf                                      1.0 GiB   cached",
      "  weights   b             ██████                    0.5/2.0 GiB   512 MiB/s   eta 3s",
      "  download  1 of 2 items  ████████████              1.5/3.0 GiB   512 MiB/s   eta 3s",
    ]);
    emit({ ...done, phase: "download", item: "b", bytes: 2 * GiB, outcome: "cached" });
    progress.close();
    expect(terminal.lines()).toEqual([
      "  weights   a.gguf   1.0 GiB   cached",
      "  weights   b        2.0 GiB   cached",
      "  download  2 items  3.0 GiB   2 cached",
    ]);
  });

  test("move at least once a second while an item is at work, and fall to 0 when nothing comes", () => {
    const { terminal, clock, progress } = drawOn("bar");
    progress.emit({ type: "start", phase: "upload", item: "a", group: "weights", bytes: 10 * MiB });
    for (let second = 0; second < 8; second += 1) {
      progress.emit({ type: "progress", phase: "upload", item: "a", bytes: MiB });
      const before = terminal.written.length;
      clock.pass(1000);
      expect(terminal.written.length).toBeGreaterThan(before);
    }
    expect(terminal.lines().join("")).toContain("1.0 MiB/s   eta 2s");
    clock.pass(6000);
    expect(terminal.lines().join("")).toContain("0 B/s   eta -");
  });

  test("are not drawn when nothing changes and nothing is at work", () => {
    const { terminal, clock, progress } = drawOn("bar");
    progress.emit({ type: "start", phase: "hash", item: "a", group: "weights", bytes: 1 });
    progress.emit({ type: "done", phase: "hash", item: "a" });
    clock.pass(100);
    const { written } = terminal;
    clock.pass(5000);
    expect(terminal.written).toBe(written);
    progress.close();
    clock.pass(5000);
    expect(terminal.lines()).toEqual(["  weights  a  ████████████████████████  1 B"]);
  });

  test("messages stay above, whole and once", () => {
    const { terminal, clock, progress } = drawOn("bar", { verbose: true });
    progress.emit({ type: "start", phase: "upload", item: "a", group: "image", bytes: 2 * MiB });
    clock.pass(100);
    progress.emit({ type: "warning", message: "the lock says gzip, the bytes do not\n" });
    progress.emit({ type: "detail", message: "sending a in one PATCH" });
    clock.pass(100);
    progress.print("two\nlines\n");
    progress.emit({ type: "wait", milliseconds: 3000, reason: "the registry said 503" });
    progress.emit({ type: "done", phase: "upload", item: "a", outcome: "mounted" });
    progress.close();
    expect(terminal.lines()).toEqual([
      String.raw`warning: the lock says gzip, the bytes do not\n`,
      "sending a in one PATCH",
      "two",
      "lines",
      "the registry said 503; retrying in 3.0 s",
      "  image  a  2.0 MiB   mounted",
    ]);
  });

  test("an item that waits says why and how long", () => {
    const { terminal, clock, progress } = drawOn("bar");
    const { emit } = progress;
    emit({ type: "start", phase: "upload", item: "a", group: "image", bytes: 2 * MiB });
    emit({ type: "wait", item: "a", milliseconds: 30_000, reason: "429 Too Many Requests" });
    clock.pass(10_000);
    expect(terminal.lines().join("")).toContain("retry in 20s: 429 Too Many Requests");
    clock.pass(40_000);
    expect(terminal.lines().join("")).toContain("retrying: 429 Too Many Requests");
    emit({ type: "progress", phase: "upload", item: "a", bytes: MiB });
    clock.pass(100);
    expect(terminal.lines().join("")).not.toContain("429");
  });

  test("what must be done again takes the bar back", () => {
    const { terminal, clock, progress } = drawOn("bar");
    const { emit } = progress;
    emit({ type: "start", phase: "upload", item: "a", group: "image", bytes: 4 * MiB });
    emit({ type: "progress", phase: "upload", item: "a", bytes: 3 * MiB });
    emit({ type: "progress", phase: "upload", item: "a", bytes: -2 * MiB });
    clock.pass(100);
    expect(terminal.lines().join("")).toContain("1.0/4.0 MiB");
  });

  test("other work than transfers is named", () => {
    const { terminal, clock, progress } = drawOn("bar");
    progress.emit({ type: "start", phase: "hash", item: "a", group: "weights", bytes: 2 * MiB });
    clock.pass(100);
    expect(terminal.lines()[0]).toEndWith("hash");
  });

  test("what is tiny beside the rest counts, but takes no line", () => {
    const { terminal, clock, progress } = drawOn("bar");
    const { emit } = progress;
    emit({ type: "phase", phase: "upload", items: 2, bytes: 5 * GiB + 2 });
    emit({ type: "start", phase: "upload", item: "config", group: "weights", bytes: 2 });
    emit({ type: "start", phase: "upload", item: "a", group: "weights", bytes: 5 * GiB });
    clock.pass(100);
    emit({ type: "done", phase: "upload", item: "config", outcome: "sent" });
    emit({ type: "done", phase: "upload", item: "a", outcome: "sent" });
    progress.close();
    expect(terminal.lines()).toEqual([
      "  weights  a        ████████████████████████  5.0 GiB",
      "  upload   2 items  ████████████████████████  5.0 GiB   2 sent",
    ]);
  });

  test("thousands of items take a bounded number of lines", () => {
    const { terminal, clock, progress } = drawOn("bar", { rows: 12 });
    const { emit } = progress;
    emit({ type: "phase", phase: "hash", items: 10_000, bytes: 10_000 * MiB });
    for (let item = 0; item < 10_000; item += 1) {
      emit({ type: "start", phase: "hash", item: `file-${item}`, group: "weights", bytes: MiB });
      if (item % 1000 === 0) clock.pass(100);
      expect(terminal.lines().length).toBeLessThanOrEqual(10);
    }
    for (let item = 0; item < 10_000; item += 1) {
      emit({ type: "done", phase: "hash", item: `file-${item}` });
    }
    progress.close();
    expect(terminal.lines().length).toBe(10);
    expect(terminal.lines().at(-1)).toStartWith("  hash     10000 items  ████");
  });

  test.each([120, 80, 60, 40, 20, 8, 1])("fit into %d columns", (columns) => {
    const { terminal, clock, progress } = drawOn("bar", { columns, rows: 6 });
    const { emit } = progress;
    emit({ type: "phase", phase: "upload", items: 3, bytes: 30 * GiB });
    for (const item of ["a".repeat(200), "日本語".repeat(30), "evil\n\u001B[2J"]) {
      emit({ type: "start", phase: "upload", item, group: "weights", bytes: 10 * GiB });
      emit({ type: "progress", phase: "upload", item, bytes: 5 * GiB });
      clock.pass(500);
    }
    emit({ type: "wait", item: "a".repeat(200), milliseconds: 1000, reason: "b".repeat(200) });
    clock.pass(500);
    expect(terminal.widest).toBeLessThanOrEqual(Math.max(1, columns - 1));
    expect(terminal.lines().length).toBe(4);
    progress.close();
    expect(terminal.lines().length).toBe(4);
  });

  test("at 80 columns keep rate and time, and names that tell the files apart", () => {
    const { terminal, clock, progress } = drawOn("bar", { columns: 80 });
    const { emit } = progress;
    emit({ type: "phase", phase: "upload", items: 100, bytes: 1000 * GiB });
    for (const number of ["00003", "00004"]) {
      const item = `model-${number}-of-00100.safetensors`;
      emit({ type: "start", phase: "upload", item, group: "weights", bytes: 10 * GiB });
      emit({ type: "progress", phase: "upload", item, bytes: GiB });
    }
    clock.pass(5000);
    expect(terminal.lines()).toEqual([
      "  weights  model-00003….safetensors       1.0/10.0 GiB   205 MiB/s   eta 45s",
      "  weights  model-00004….safetensors       1.0/10.0 GiB   205 MiB/s   eta 45s",
      "  upload   0 of 100 items                 2.0/1000 GiB   410 MiB/s   eta 41m35s",
    ]);
  });

  test("do not count what an earlier run had sent", () => {
    const { terminal, clock, progress } = drawOn("bar");
    const { emit } = progress;
    emit({ type: "phase", phase: "upload", items: 2, bytes: 20 * GiB });
    emit({ type: "start", phase: "upload", item: "a", group: "weights", bytes: 10 * GiB });
    emit({ type: "start", phase: "upload", item: "b", group: "weights", bytes: 10 * GiB });
    emit({ type: "progress", phase: "upload", item: "a", bytes: 8 * GiB, resumed: true });
    clock.pass(1000);
    expect(terminal.lines().at(-1)).toEndWith("0.0/12.0 GiB   0 B/s   eta -");
    emit({ type: "done", phase: "upload", item: "a", outcome: "sent" });
    emit({ type: "done", phase: "upload", item: "b", outcome: "sent" });
    progress.close();
    expect(terminal.lines()).toEqual([
      "  weights  a        ████████████████████████  10.0 GiB   resumed at 8.0 GiB",
      "  weights  b        ████████████████████████  10.0 GiB",
      "  upload   2 items  ████████████████████████  12.0 GiB   2 sent",
    ]);
  });

  test("a terminal that becomes narrower leaves nothing behind", () => {
    const { terminal, clock, progress } = drawOn("bar");
    const { emit } = progress;
    emit({ type: "start", phase: "upload", item: "a", group: "image", bytes: GiB });
    clock.pass(1000);
    emit({ type: "done", phase: "upload", item: "a", outcome: "sent" });
    // A terminal that wraps anew shows the one line, of 65 columns, as two.
    const [line = ""] = terminal.lines();
    terminal.write(`\u001B[1A\r\u001B[J`);
    terminal.columns = 50;
    terminal.write(`${line}\n`);
    progress.close();
    expect(terminal.lines()).toEqual(["  image  a  ████████████████████████  1.0 GiB"]);
  });

  test("after what was written elsewhere, drawing begins below", () => {
    const { terminal, clock, progress } = drawOn("bar");
    progress.emit({ type: "start", phase: "upload", item: "a", group: "image", bytes: GiB });
    progress.emit({ type: "done", phase: "upload", item: "a", outcome: "sent" });
    progress.settle();
    terminal.write("the result\n");
    clock.pass(1000);
    progress.close();
    progress.close();
    progress.emit({ type: "start", phase: "upload", item: "late", group: "image", bytes: GiB });
    clock.pass(1000);
    expect(terminal.lines()).toEqual([
      "  image  a  ████████████████████████  1.0 GiB",
      "the result",
    ]);
  });

  test("have colours where wanted, and are cut the same", () => {
    const { terminal, clock, progress } = drawOn("bar", { colors: true, columns: 70 });
    progress.emit({ type: "start", phase: "upload", item: "日本", group: "image", bytes: GiB });
    progress.emit({ type: "progress", phase: "upload", item: "日本", bytes: GiB / 2 });
    clock.pass(100);
    expect(terminal.written).toContain("\u001B[36m████████████            \u001B[39m");
    expect(terminal.widest).toBeLessThanOrEqual(69);
  });
});
