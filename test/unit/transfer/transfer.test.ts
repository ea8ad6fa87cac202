import { describe, expect, test } from "bun:test";
import { OcibundleError } from "../../../src/errors.ts";
import type { BlobToMove, ContentWriter } from "../../../src/oci/content.ts";
import { type Digest, digestOf } from "../../../src/oci/digest.ts";
import type { TransferEvent } from "../../../src/transfer/events.ts";
import { planTransfer, runTransfer } from "../../../src/transfer/transfer.ts";

const never = new AbortController().signal;

const blobOf = (name: string, size: number, more: Partial<BlobToMove> = {}): BlobToMove => ({
  descriptor: { mediaType: "a/b", digest: digestOf(name), size },
  source: () => Promise.resolve({ kind: "bytes", bytes: new Uint8Array(size) }),
  group: "weights",
  label: `weight "${name}"`,
  name,
  ...more,
});

interface Target extends ContentWriter {
  asked: Digest[];
  written: string[];
  /** The most that were written at once. */
  most: number;
}

/** Where blobs come to rest: has some already, and writes others when `write` lets it. */
function target(
  has: readonly string[],
  write: (blob: BlobToMove, signal: AbortSignal) => Promise<void> = () => Bun.sleep(1),
): Target {
  const present = new Set<Digest>(has.map((name) => digestOf(name)));
  let now = 0;
  const self: Target = {
    name: "test",
    asked: [],
    written: [],
    most: 0,
    hasBlob({ digest }) {
      self.asked.push(digest);
      return Promise.resolve(present.has(digest));
    },
    async writeBlob(blob, { signal, onBytes }) {
      now += 1;
      self.most = Math.max(self.most, now);
      try {
        await write(blob, signal);
      } finally {
        now -= 1;
      }
      self.written.push(blob.name ?? blob.label);
      onBytes?.(blob.descriptor.size);
      return "sent";
    },
    writeManifest: () => Promise.resolve(),
  };
  return self;
}

const names = (blobs: readonly BlobToMove[]) => blobs.map(({ name }) => name);

describe("planTransfer", () => {
  test("tells what is there and what is missing, the largest first", async () => {
    const blobs = [blobOf("a", 10), blobOf("b", 30), blobOf("c", 20), blobOf("d", 30)];
    const plan = await planTransfer(blobs, target(["c"]), { signal: never, emit() {} });
    expect(names(plan.present)).toEqual(["c"]);
    expect(names(plan.missing)).toEqual(["b", "d", "a"]);
    expect(plan.bytes).toBe(70);
  });

  test("asks once for each digest and joins the places to mount from", async () => {
    const twice = [
      blobOf("a", 10, { mountFrom: ["acme/x"] }),
      blobOf("a", 10, { name: "other", mountFrom: ["acme/x", "acme/y"] }),
    ];
    const to = target([]);
    const plan = await planTransfer(twice, to, { signal: never, emit() {} });
    expect(to.asked).toEqual([digestOf("a")]);
    expect(names(plan.missing)).toEqual(["a"]);
    expect(plan.missing[0]?.mountFrom).toEqual(["acme/x", "acme/y"]);
    expect(plan.bytes).toBe(10);
  });

  test("refuses one digest with two sizes, naming both", async () => {
    const work = planTransfer([blobOf("a", 1), blobOf("a", 2)], target([]), {
      signal: never,
      emit() {},
    });
    expect(work).rejects.toThrow('weight "a" and weight "a" have digest');
  });

  test("puts the label before a failure", async () => {
    const to = target([]);
    to.hasBlob = () => Promise.reject(new OcibundleError("denied", "no access"));
    const work = planTransfer([blobOf("a", 1)], to, { signal: never, emit() {} });
    expect(work).rejects.toThrow('weight "a": no access');
  });
});

const run = async (to: Target, blobs: BlobToMove[], concurrency?: number, signal = never) => {
  const events: TransferEvent[] = [];
  const options = { signal, emit: (event: TransferEvent) => events.push(event), concurrency };
  const plan = await planTransfer(blobs, to, options);
  return { outcomes: await runTransfer(plan, to, options), events };
};

describe("planTransfer for a place that may be new", () => {
  const blobs = Array.from({ length: 65 }, (_, index) => blobOf(`w${index}`, 100 + index));
  const plan = async (has: readonly string[], isNew: boolean | undefined, some = blobs) => {
    const to = target(has);
    let looks = 0;
    const look = () => {
      looks += 1;
      return Promise.resolve(isNew === true);
    };
    const asked = isNew === undefined ? to : { ...to, isNew: look };
    const { present, missing } = await planTransfer(some, asked, { signal: never, emit: () => {} });
    return { asked: to.asked, present: names(present), missing: names(missing), looks };
  };
  const all = blobs.map(({ name }) => name);

  test("asks for the largest only where the place has no tag", async () => {
    const { asked, missing, looks } = await plan([], true);
    const largest = all.slice(-16).map((name = "") => digestOf(name));
    expect(new Set(asked)).toEqual(new Set(largest));
    expect(missing).toEqual(all.toReversed());
    expect(looks).toBe(1);
  });

  test.each([
    ["has one of the largest", ["w60", "w3"], true],
    ["has a tag", ["w3"], false],
    ["does not tell", ["w3"], undefined],
  ])("asks for all where it %s", async (_, has, isNew) => {
    const { asked, present, missing } = await plan(has, isNew);
    expect(asked.length).toBe(65);
    expect(present).toEqual(all.filter((name = "") => has.includes(name)));
    expect(missing.length).toBe(65 - has.length);
  });

  test("does not wait for whether it is new where it has one of the largest, and ends the question", async () => {
    let ended = false;
    const isNew = (signal: AbortSignal) =>
      new Promise<boolean>((_, reject) => {
        signal.addEventListener("abort", () => {
          ended = true;
          reject(new Error("aborted"));
        });
      });
    const to = { ...target(["w60"]), isNew };
    const { present } = await planTransfer(blobs, to, { signal: never, emit: () => {} });
    expect({ present: names(present), ended }).toEqual({ present: ["w60"], ended: true });
  });

  test("asks for all where the answer is late, and ends the question", async () => {
    let reason: unknown;
    const isNew = (signal: AbortSignal) =>
      new Promise<boolean>((_, reject) => {
        signal.addEventListener("abort", () => {
          reason = signal.reason;
          reject(new Error("aborted"));
        });
      });
    const to = { ...target(["w3"]), isNew };
    const { present } = await planTransfer(blobs, to, {
      signal: never,
      emit: () => {},
      newWithin: 1,
    });
    expect(names(present)).toEqual(["w3"]);
    expect(to.asked.length).toBe(65);
    expect(reason).toMatchObject({ name: "TimeoutError" });
  });

  test("asks for all where the question fails", async () => {
    const to = target(["w3"]);
    const asked = { ...to, isNew: () => Promise.reject(new Error("not today")) };
    const { present } = await planTransfer(blobs, asked, { signal: never, emit: () => {} });
    expect(names(present)).toEqual(["w3"]);
    expect(to.asked.length).toBe(65);
  });

  test("asks for all of few blobs", async () => {
    const { asked, looks } = await plan([], true, blobs.slice(1));
    expect(asked.length).toBe(64);
    expect(looks).toBe(0);
  });
});

describe("runTransfer", () => {
  test("moves what is missing, several at once, never more than allowed", async () => {
    const blobs = Array.from({ length: 20 }, (_, index) => blobOf(`w${index}`, index + 1));
    const to = target(["w3"]);
    const { outcomes } = await run(to, blobs, 3);
    expect(outcomes.size).toBe(19);
    expect(to.most).toBe(3);
    expect(to.written.length).toBe(19);
  });

  test("sends the smallest of many before all others, as the one that shows what the target takes", async () => {
    const blobs = Array.from({ length: 17 }, (_, index) => blobOf(`w${index}`, 100 + index));
    const to = target([]);
    const first: (boolean | undefined)[] = [];
    const { writeBlob } = to;
    to.writeBlob = (blob, options) => {
      first.push(options.ofMany);
      return writeBlob(blob, options);
    };
    await run(to, blobs);
    expect(to.written[0]).toBe("w0");
    expect(first.filter((ofMany) => ofMany)).toEqual([true]);
    expect(first[0]).toBe(true);
    const few = target([]);
    await run(few, blobs.slice(0, 16), 1);
    expect(few.written[0]).toBe("w15");
  });

  test("tells of each blob from its start to its end", async () => {
    const { events } = await run(target(["b"]), [blobOf("a", 5), blobOf("b", 7)]);
    expect(events).toEqual([
      { type: "phase", phase: "check", items: 2, bytes: 12 },
      {
        type: "done",
        phase: "check",
        item: "b",
        group: "weights",
        bytes: 7,
        outcome: "present",
      },
      { type: "phase", phase: "upload", items: 1, bytes: 5 },
      { type: "start", phase: "upload", item: "a", group: "weights", bytes: 5 },
      { type: "progress", phase: "upload", item: "a", bytes: 5 },
      { type: "done", phase: "upload", item: "a", outcome: "sent" },
    ]);
  });

  test("begins no phase when nothing is missing", async () => {
    const { outcomes, events } = await run(target(["a"]), [blobOf("a", 5)]);
    expect(outcomes.size).toBe(0);
    expect(events.some((event) => event.type === "phase" && event.phase === "upload")).toBe(false);
  });

  test("ends the others at the first failure, which is thrown with its label", async () => {
    let ended = 0;
    const to = target([], async (blob, signal) => {
      if (blob.name === "bad")
        throw new OcibundleError("integrity", "other bytes", { hint: "lock" });
      await new Promise((_, reject) => {
        signal.addEventListener("abort", () => {
          ended += 1;
          reject(new Error("a consequence"));
        });
      });
    });
    const blobs = [blobOf("a", 9), blobOf("bad", 8), blobOf("c", 7), blobOf("d", 1)];
    const error = await run(to, blobs, 3).catch((caught: unknown) => caught);
    expect(error).toBeInstanceOf(OcibundleError);
    expect(error).toMatchObject({
      code: "integrity",
      message: 'weight "bad": other bytes',
      hint: "lock",
    });
    expect(ended).toBeGreaterThan(0);
    expect(to.written).toEqual([]);
  });

  test("ends with the reason of an interruption", async () => {
    const abort = new AbortController();
    const reason = new OcibundleError("interrupted", "interrupted");
    const to = target([], async (_, signal) => {
      abort.abort(reason);
      signal.throwIfAborted();
    });
    const error = await run(to, [blobOf("a", 1)], 2, abort.signal).catch(
      (caught: unknown) => caught,
    );
    expect(error).toBe(reason);
  });
});
