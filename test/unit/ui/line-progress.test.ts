import { describe, expect, test } from "bun:test";
import { drawOn } from "../../support/cli/terminal.ts";

const MiB = 1024 ** 2;

describe("plain lines", () => {
  test("say what begins, what is done, and how far it is every ten seconds", () => {
    const { terminal, clock, progress } = drawOn("plain");
    const { emit } = progress;
    emit({ type: "phase", phase: "upload", items: 2, bytes: 1100 * MiB });
    emit({ type: "start", phase: "upload", item: "layer", group: "image", bytes: 100 * MiB });
    emit({ type: "done", phase: "upload", item: "layer", outcome: "present" });
    emit({ type: "start", phase: "upload", item: "llama\n", group: "weights", bytes: 1000 * MiB });
    for (let second = 0; second < 20; second += 1) {
      emit({ type: "progress", phase: "upload", item: "llama\n", bytes: 40 * MiB });
      clock.pass(1000);
    }
    emit({ type: "wait", item: "llama\n", milliseconds: 2000, reason: "connection reset" });
    emit({ type: "warning", message: "careful" });
    emit({ type: "detail", message: "not shown" });
    emit({ type: "progress", phase: "upload", item: "llama\n", bytes: 200 * MiB });
    clock.pass(1000);
    emit({ type: "done", phase: "upload", item: "llama\n", outcome: "sent" });
    progress.close();
    clock.pass(60_000);
    expect(terminal.lines()).toEqual([
      "upload: 2 items, 1.1 GiB",
      "upload image layer: 100 MiB, up to date",
      "upload: 45 % (500 MiB of 1.1 GiB), 40.0 MiB/s, 15 s left",
      "upload: 81 % (900 MiB of 1.1 GiB), 40.0 MiB/s, 5.0 s left",
      String.raw`llama\n: connection reset; retrying in 2.0 s`,
      "warning: careful",
      String.raw`upload weights llama\n: 1000 MiB, sent`,
      "upload: 2 items, 1.1 GiB in 21 s, 1 up to date, 1 sent",
    ]);
  });

  test("do not call up to date what this run has sent before it compared", () => {
    const { terminal, progress } = drawOn("plain");
    const { emit } = progress;
    const amount = (files: number) => ({ files, bytes: files * MiB });
    const plan = (present: number, moved: number) =>
      emit({
        type: "plan",
        all: amount(10),
        present: amount(present),
        moved: amount(moved),
        missing: amount(10 - present),
      });
    plan(10, 0);
    plan(10, 10);
    plan(10, 7);
    plan(9, 7);
    plan(7, 7);
    plan(3, 0);
    plan(0, 0);
    emit({ type: "phase", phase: "check", items: 10, bytes: 10 * MiB });
    for (const [index, outcome] of (["sent", "mounted", "present"] as const).entries()) {
      const item = `part ${index}`;
      emit({ type: "done", phase: "check", item, group: "weights", bytes: MiB, outcome });
    }
    progress.close();
    expect(terminal.lines()).toEqual([
      "weights: 10 blobs, 10.0 MiB, all up to date",
      "weights: 10 blobs, 10.0 MiB, all done",
      "weights: 10 blobs, 10.0 MiB; 7 done (7.0 MiB), 3 up to date (3.0 MiB)",
      "weights: 10 blobs, 10.0 MiB; 7 done (7.0 MiB), 2 up to date (2.0 MiB), 1 to send (1.0 MiB)",
      "weights: 10 blobs, 10.0 MiB; 7 done (7.0 MiB), 3 to send (3.0 MiB)",
      "weights: 10 blobs, 10.0 MiB; 3 up to date (3.0 MiB), 7 to send (7.0 MiB)",
      "weights: 10 blobs, 10.0 MiB to send",
      "check: 1 of 10 items up to date",
    ]);
  });

  test("tell once what several requests wait for at the same time", () => {
    const { terminal, clock, progress } = drawOn("plain");
    const refused = { type: "wait", milliseconds: 400, reason: "connection refused" } as const;
    progress.emit(refused);
    progress.emit({ ...refused, milliseconds: 700 });
    progress.emit({ ...refused, item: "a" });
    clock.pass(500);
    progress.emit(refused);
    progress.close();
    expect(terminal.lines()).toEqual([
      "connection refused; retrying in 0.4 s",
      "a: connection refused; retrying in 0.4 s",
      "connection refused; retrying in 0.4 s",
    ]);
  });

  test("tell of an outage a few times, then every ten seconds, and of the next one again", () => {
    const { terminal, clock, progress } = drawOn("plain");
    const shown = (seconds: number): number => {
      const before = terminal.lines().length;
      for (let at = 0; at < seconds * 2; at += 1) {
        progress.emit({ type: "wait", milliseconds: 400, reason: "connection refused" });
        clock.pass(500);
      }
      return terminal.lines().length - before;
    };
    expect(shown(1)).toBe(2);
    expect(shown(60)).toBe(6);
    clock.pass(120_000);
    expect(shown(1)).toBe(2);
    progress.close();
  });

  test("say that a layout is written, not sent", () => {
    const { terminal, progress } = drawOn("plain");
    const { emit } = progress;
    emit({ type: "phase", phase: "write", items: 1, bytes: MiB });
    emit({ type: "start", phase: "write", item: "layer", group: "image", bytes: MiB });
    emit({ type: "done", phase: "write", item: "layer", outcome: "sent" });
    progress.close();
    expect(terminal.lines()).toEqual([
      "write: 1 item, 1.0 MiB",
      "write image layer: 1.0 MiB, written",
    ]);
  });

  test("are few for many items", () => {
    const { terminal, clock, progress } = drawOn("plain");
    const { emit } = progress;
    emit({ type: "phase", phase: "hash", items: 10_000, bytes: 10_000 * MiB });
    for (let item = 0; item < 10_000; item += 1) {
      emit({ type: "start", phase: "hash", item: `${item}`, group: "weights", bytes: MiB });
      clock.pass(3);
      emit({ type: "done", phase: "hash", item: `${item}` });
    }
    progress.close();
    expect(terminal.lines().length).toBeLessThanOrEqual(5);
    expect(terminal.lines().at(-1)).toBe("hash: 10000 items, 9.8 GiB in 30 s");
  });

  test("count what has no size", () => {
    const { terminal, clock, progress } = drawOn("plain");
    const { emit } = progress;
    emit({ type: "phase", phase: "check", items: 30 });
    for (let item = 0; item < 29; item += 1) {
      emit({ type: "start", phase: "check", item: `${item}`, group: "image", bytes: 0 });
      if (item < 12) emit({ type: "done", phase: "check", item: `${item}` });
    }
    clock.pass(10_000);
    expect(terminal.lines()).toEqual(["check: 12 of 30 items"]);
    progress.close();
    expect(terminal.lines().at(-1)).toBe("check: 12 of 30 items up to date");
  });

  test("say once how much the target has already", () => {
    const { terminal, progress } = drawOn("plain");
    progress.emit({ type: "phase", phase: "check", items: 5 });
    for (const item of ["a", "b", "c", "d"]) {
      progress.emit({ type: "done", phase: "check", item, outcome: "present" });
    }
    progress.emit({ type: "phase", phase: "upload", items: 1, bytes: MiB });
    progress.close();
    expect(terminal.lines()).toEqual(["check: 4 of 5 items up to date", "upload: 1 item, 1.0 MiB"]);
  });

  test("do not count what an earlier run had sent", () => {
    const { terminal, clock, progress } = drawOn("plain");
    const { emit } = progress;
    emit({ type: "phase", phase: "upload", items: 2, bytes: 200 * MiB });
    emit({ type: "start", phase: "upload", item: "a", group: "weights", bytes: 100 * MiB });
    emit({ type: "start", phase: "upload", item: "b", group: "weights", bytes: 100 * MiB });
    emit({ type: "progress", phase: "upload", item: "a", bytes: 50 * MiB, resumed: true });
    clock.pass(10_000);
    // The registry has lost some of it.
    emit({ type: "progress", phase: "upload", item: "a", bytes: -20 * MiB });
    emit({ type: "progress", phase: "upload", item: "a", bytes: 70 * MiB });
    emit({ type: "done", phase: "upload", item: "a", outcome: "sent" });
    emit({ type: "done", phase: "upload", item: "b", outcome: "sent" });
    progress.close();
    expect(terminal.lines()).toEqual([
      "upload: 2 items, 200 MiB",
      "upload weights a: resumed at 50.0 MiB",
      "upload: 0 % (0 B of 150 MiB), 0 B/s",
      "upload weights a: 100 MiB, sent",
      "upload weights b: 100 MiB, sent",
      "upload: 2 items, 170 MiB in 10 s, 2 sent",
    ]);
  });

  test("a phase without work says nothing", () => {
    const { terminal, progress } = drawOn("plain");
    progress.emit({ type: "phase", phase: "upload", items: 0, bytes: 0 });
    progress.emit({ type: "phase", phase: "check" });
    progress.close();
    expect(terminal.lines()).toEqual([]);
  });
});

const parsed = (written: string): unknown[] =>
  written
    .trimEnd()
    .split("\n")
    .map((line): unknown => JSON.parse(line));

describe("JSON lines", () => {
  test("are the events, with bytes summed up to a few lines a second", () => {
    const { terminal, clock, progress } = drawOn("json");
    const { emit } = progress;
    const item = "a\n";
    emit({ type: "phase", phase: "upload", items: 1, bytes: 1000 });
    emit({ type: "start", phase: "upload", item, group: "weights", bytes: 1000 });
    for (let count = 0; count < 1000; count += 1) {
      emit({ type: "progress", phase: "upload", item, bytes: 1 });
      clock.pass(1);
    }
    emit({ type: "wait", item, milliseconds: 5, reason: "reset" });
    emit({ type: "detail", message: "not asked for" });
    emit({ type: "done", phase: "upload", item, outcome: "sent" });
    progress.print("some\ntext\n");
    progress.close();
    const events = parsed(terminal.written) as { type: string; bytes?: number }[];
    const moved = events.filter(({ type }) => type === "progress");
    expect(moved.length).toBeLessThanOrEqual(6);
    expect(moved.reduce((sum, { bytes = 0 }) => sum + bytes, 0)).toBe(1000);
    expect(events.filter(({ type }) => type !== "progress")).toEqual([
      { type: "phase", phase: "upload", items: 1, bytes: 1000 },
      { type: "start", phase: "upload", item, group: "weights", bytes: 1000 },
      { type: "wait", item, milliseconds: 5, reason: "reset" },
      { type: "done", phase: "upload", item, outcome: "sent" },
      { type: "message", message: "some" },
      { type: "message", message: "text" },
    ] as never[]);
  });

  test("bytes that were not told yet come before the end", () => {
    const { terminal, progress } = drawOn("json", { verbose: true });
    progress.emit({ type: "detail", message: "why" });
    progress.emit({ type: "progress", phase: "download", item: "a", bytes: 5 });
    progress.emit({ type: "progress", phase: "download", item: "b", bytes: 7 });
    progress.emit({ type: "progress", phase: "download", item: "b", bytes: -7 });
    progress.close();
    expect(parsed(terminal.written)).toEqual([
      { type: "detail", message: "why" },
      { type: "progress", phase: "download", item: "a", bytes: 5 },
    ]);
  });
});

describe("no progress", () => {
  test("leaves warnings and what is printed", () => {
    const { terminal, clock, progress } = drawOn("none");
    progress.emit({ type: "start", phase: "upload", item: "a", group: "image", bytes: 5 });
    progress.emit({ type: "detail", message: "not asked for" });
    progress.emit({ type: "warning", message: "careful" });
    progress.emit({ type: "warning", message: "careful" });
    progress.print("text\n");
    clock.pass(60_000);
    progress.close();
    expect(terminal.lines()).toEqual(["warning: careful", "warning: careful", "text"]);
  });
});
