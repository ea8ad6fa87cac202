import type { PartPlaces } from "../../runtime/part-places.ts";
import type { PlacedSegment } from "../format/segment-list.ts";

/**
 * The pieces of a file's parts in the order of the file, each made when it is asked for: there can be hundreds of
 * thousands.
 */
export function* inFileOrder(
  plan: readonly PartPlaces[],
): Generator<PlacedSegment, undefined, undefined> {
  const count = plan.reduce((sum, { length }) => sum + length, 0);
  const [parts, places, positions] = [
    new Uint32Array(count),
    new Uint32Array(count),
    new Float64Array(count),
  ];
  let filled = 0;
  for (const [part, { length, numbers }] of plan.entries()) {
    for (let index = 0; index < length; index += 1) {
      parts[filled] = part;
      places[filled] = index;
      positions[filled] = numbers[3 * index + 2] ?? 0;
      filled += 1;
    }
  }
  const order = Uint32Array.from(parts, (_, index) => index);
  order.sort((a, b) => (positions[a] ?? 0) - (positions[b] ?? 0));
  for (const index of order) {
    const part = parts[index] ?? 0;
    const place = plan[part]?.at(places[index] ?? 0);
    if (place === undefined) throw new TypeError(`a plan has no part ${part}`);
    const { start, end, position } = place;
    yield { part, offset: start, length: end - start, position };
  }
}
