import { expect, test } from "bun:test";
import { faultyBody } from "../../../../src/harness/misbehave/faults/body.ts";

const { signal } = new AbortController();

async function* piecesOf(count: number, bytes: number): AsyncGenerator<Uint8Array> {
  for (let index = 0; index < count; index += 1) yield new Uint8Array(bytes);
}

/** Milliseconds that half a megabyte takes at one megabyte a second. */
async function taken(count: number, bytes: number): Promise<number> {
  const began = performance.now();
  let total = 0;
  const fault = { kind: "slow", rate: 1_000_000 } as const;
  for await (const piece of faultyBody(piecesOf(count, bytes), fault, count * bytes, signal)) {
    total += piece.byteLength;
  }
  expect(total).toBe(count * bytes);
  return performance.now() - began;
}

test.each([
  ["one piece", 1, 500_000],
  ["pieces of a tick's share and a bit", 9, 55_000],
  ["pieces much smaller than that", 500, 1000],
])("a slow body of %s goes at the rate that was asked for", async (_, count, bytes) => {
  const milliseconds = await taken(count, bytes);
  expect(milliseconds).toBeGreaterThan(400);
  // With a pause for each piece it was 25 s for the small ones.
  expect(milliseconds).toBeLessThan(2000);
});
