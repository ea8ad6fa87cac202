import { displayWidth, truncate } from "./text.ts";

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** What a file's name ends with: `.safetensors`, `.tar.gz`. */
const extension = /(?:\.[A-Za-z]\w{0,11}){1,2}$/;

/** The number that tells one shard from another, and what all of them share: `model-00003`, `-of-00012`. */
const shard = /^(.*\d)-of-\d+$/;

/** What is before the number of a tensor's layer, and what follows: `model.layers`, `.0.self_attn.q_proj.weight`. */
const layered = /^(.*?\D)(\.\d+\..+)$/;

/** Fewer columns than this of a name tell nothing. */
const fewest = 5;

/**
 * Cuts a name in the middle, to at most `columns`: `model-…00003`. The extension stays while there is room
 * for it, and of a shard's name the number of shards goes first: `model-00003….safetensors`. Of a tensor's name
 * what is before its layer's number goes first: `mod….0.self_attn.q_proj.weight`.
 */
export function cutName(name: string, columns: number): string {
  if (displayWidth(name) <= columns) return name;
  const slash = name.lastIndexOf("/");
  if (slash > 0 && columns >= fewest + 2) return cutPath(name, slash, columns);
  const [, before, numberedRest = ""] = layered.exec(name) ?? [];
  const room = columns - displayWidth(numberedRest);
  if (before !== undefined && room >= 2) return truncate(before, room) + numberedRest;
  const [ending = ""] = extension.exec(name) ?? [];
  const stem = name.slice(0, name.length - ending.length);
  const [, numbered] = shard.exec(stem) ?? [];
  if (numbered !== undefined) {
    const left = columns - displayWidth(ending) - 1;
    if (left >= fewest + 1) return `${cutMiddle(numbered, left)}…${ending}`;
    return cutMiddle(numbered, columns);
  }
  const left = columns - displayWidth(ending);
  return left >= fewest + 2 ? cutMiddle(stem, left) + ending : cutMiddle(name, columns);
}

/** Of a path, directories go before the file's name does: `/models/…/model-00003.safetensors`. */
function cutPath(path: string, slash: number, columns: number): string {
  const file = path.slice(slash + 1);
  const left = columns - displayWidth(file) - 1;
  if (left < fewest) return `…/${cutName(file, columns - 2)}`;
  return `${truncate(path.slice(0, slash), left)}/${file}`;
}

function cutMiddle(text: string, columns: number): string {
  if (displayWidth(text) <= columns) return text;
  if (columns < fewest) return truncate(text, columns);
  const tail = lastColumns(text, Math.floor((columns - 1) / 2));
  const head = truncate(text, columns - displayWidth(tail));
  return head + tail;
}

/** The end of a text, at most so wide. */
function lastColumns(text: string, columns: number): string {
  let kept = "";
  let width = 0;
  for (const { segment } of [...graphemes.segment(text)].toReversed()) {
    width += displayWidth(segment);
    if (width > columns) break;
    kept = segment + kept;
  }
  return kept;
}
