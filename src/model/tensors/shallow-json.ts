import { beyondBounds, type JsonBounds } from "../../oci/json-bounds.ts";
import { maxTensors } from "./read-at.ts";

/**
 * A header of tensors has three levels: nothing that is meant seriously comes near 32. A tensor is an object with two
 * lists in it, four members, and as many commas as it has members and numbers. There is room for as many tensors as are
 * looked at, and for the metadata. Without these limits, 16 MiB of empty objects or of numbers took 1 to 1.5 GB.
 */
const most: JsonBounds = {
  levels: 32,
  lists: 5 * maxTensors,
  members: 6 * maxTensors,
  commas: 20 * maxTensors,
};

/**
 * Parses JSON from outside whose nesting and number of values are bounded. Throws `SyntaxError` for what is nested
 * deeper or has more, `TypeError` for what is not UTF-8, and as `JSON.parse`.
 */
export function parseShallowJson(bytes: Uint8Array): { text: string; value: unknown } {
  const beyond = beyondBounds(bytes, most);
  if (beyond !== undefined) throw new SyntaxError(`too many ${beyond}`);
  const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  return { text, value: JSON.parse(text) };
}
