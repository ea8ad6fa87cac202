import { describe, expect, test } from "bun:test";
import { EventEmitter } from "node:events";
import * as fc from "fast-check";
import {
  type BodyMessage,
  requestBody,
} from "../../../../src/harness/registry/instance/request-body.ts";
import { errorOf } from "../../../support/failure.ts";

/** A message that does not stop when it is paused. */
function message() {
  const emitter = new EventEmitter();
  const calls: string[] = [];
  const from: BodyMessage = Object.assign(emitter, {
    pause: () => calls.push("pause"),
    resume: () => calls.push("resume"),
  });
  return { from, calls, give: (bytes: Uint8Array) => emitter.emit("data", bytes), emitter };
}

/** Takes pieces: `slow` ones take until the microtasks of others have run. */
function taker(slow: readonly boolean[]) {
  const bytes: number[] = [];
  let [underWay, most, count] = [0, 0, 0];
  const one = async (chunk: Uint8Array): Promise<void> => {
    underWay += 1;
    most = Math.max(most, underWay);
    for (let turn = 0; turn < 3; turn += 1) await Promise.resolve();
    bytes.push(...chunk);
    underWay -= 1;
  };
  return {
    take: (chunk: Uint8Array): Promise<void> | undefined => {
      if (slow[count++] === true) return one(chunk);
      bytes.push(...chunk);
      return undefined;
    },
    bytes,
    most: () => most,
  };
}

describe("the body of a request", () => {
  test("is taken piece after piece, and ends after the last, also of a message that goes on while it is paused", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ slow: fc.boolean(), waits: fc.boolean() }), { maxLength: 12 }),
        async (pieces) => {
          const { from, give, emitter } = message();
          const { take, bytes, most } = taker(pieces.map(({ slow }) => slow));
          const done = requestBody(from).read(take);
          for (const [index, { waits }] of pieces.entries()) {
            give(Uint8Array.of(index));
            if (waits) await Promise.resolve();
          }
          emitter.emit("end");
          emitter.emit("close");
          await done;
          expect(bytes).toEqual(pieces.map((_, index) => index));
          expect(most()).toBeLessThanOrEqual(1);
        },
      ),
    );
  });

  test("breaks off after what had come was taken", async () => {
    const { from, give, emitter } = message();
    const { take, bytes } = taker([true, true, true]);
    const done = errorOf(requestBody(from).read(take));
    for (const byte of [1, 2, 3]) give(Uint8Array.of(byte));
    emitter.emit("close");
    expect((await done).message).toBe("the connection ended");
    expect(bytes).toEqual([1, 2, 3]);
  });

  test("ends with what a taker throws, and takes nothing more", async () => {
    const failing = [
      () => {
        throw new Error("no space");
      },
      () => Promise.reject(new Error("no space")),
    ];
    for (const take of failing) {
      const { from, give, emitter } = message();
      let taken = 0;
      const done = errorOf(
        requestBody(from).read(() => {
          taken += 1;
          return take();
        }),
      );
      for (const byte of [1, 2]) give(Uint8Array.of(byte));
      emitter.emit("end");
      expect((await done).message).toBe("no space");
      give(Uint8Array.of(3));
      expect(taken).toBe(1);
    }
  });

  test("is paused while a piece is taken, and goes on when none waits", async () => {
    const { from, calls, give, emitter } = message();
    const { take } = taker([false, true, true]);
    const done = requestBody(from).read(take);
    for (const byte of [1, 2, 3]) give(Uint8Array.of(byte));
    for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
    expect(calls).toEqual(["pause", "pause", "resume"]);
    emitter.emit("end");
    await done;
  });

  test("that broke off before it is read is no body, and what is discarded is dropped", async () => {
    const { from, give, emitter, calls } = message();
    const body = requestBody(from);
    emitter.emit("close");
    expect((await errorOf(body.read(() => undefined))).message).toBe("the connection ended");
    const other = message();
    const { take, bytes } = taker([false]);
    const discarded = requestBody(other.from);
    void discarded.read(take);
    discarded.discard();
    other.give(Uint8Array.of(1));
    expect(bytes).toEqual([]);
    give(Uint8Array.of(1));
    expect(calls).toEqual([]);
  });
});
