import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import { SizeSchema } from "../../oci/descriptor.ts";
import { openObject } from "../../oci/open-schemas.ts";
import { checkDest, checkDestsApart } from "./weight-dest.ts";

/** Media types of a weights layer, by how the file is stored in it. */
export const layerTypes = {
  none: "application/vnd.cog.weights.layer.v1",
  gzip: "application/vnd.cog.weights.layer.v1+gzip",
  zstd: "application/vnd.cog.weights.layer.v1+zstd",
} as const;

/** How a weight file is stored: as it is, or compressed. */
export type Compression = keyof typeof layerTypes;

/** A media type of a weights layer. */
export type LayerType = (typeof layerTypes)[Compression];

/** The compression that a layer's media type says. Its bytes may say otherwise (docs/format.md). */
export const compressionOf = (layerType: LayerType): Compression =>
  layerType === layerTypes.none ? "none" : layerType === layerTypes.gzip ? "gzip" : "zstd";

/** A SHA-256 digest in a document from outside; weights have no other. */
export const Sha256Schema = v.custom<`sha256:${string}`>(
  (input) => typeof input === "string" && /^sha256:[0-9a-f]{64}$/.test(input),
  'must be "sha256:" and 64 lower-case hex digits',
);

/** The members of a weight entry (docs/format.md). */
export const weightEntryMembers = {
  /** A handle, unique in its lock. */
  name: v.pipe(
    v.string("must be a string"),
    v.minLength(1, "must not be empty"),
    v.maxBytes(4096, "must have at most 4096 bytes"),
    v.check((name) => name.isWellFormed(), "must be well-formed Unicode"),
  ),
  /** The absolute path in the container. */
  dest: v.pipe(
    v.string("must be a string"),
    v.rawCheck(({ dataset, addIssue }) => {
      const fault = dataset.typed ? checkDest(dataset.value) : undefined;
      if (fault !== undefined) addIssue({ message: fault });
    }),
  ),
  /** Of the file as it is. */
  digestOriginal: Sha256Schema,
  /** Of the blob that is stored. */
  digest: Sha256Schema,
  /** Of the blob, in bytes. */
  size: SizeSchema,
  /** Of the file, in bytes. */
  sizeUncompressed: SizeSchema,
  mediaType: v.picklist(
    Object.values(layerTypes),
    ({ input }) => `${JSON.stringify(input)} is not a media type of a weights layer`,
  ),
  contentType: v.optional(v.string("must be a string")),
};

/** One weight file, pinned to the blob that stores it. Unknown members are kept. */
const WeightEntrySchema = openObject(weightEntryMembers);

/** The member of an entry that says how its file is split into parts (docs/format.md). */
export const lockPartsMember = "ocibundle.parts";

/** One weight file of a lock or a weights artifact. */
export type WeightEntry = v.InferOutput<typeof WeightEntrySchema>;

/** The entry of a file that is stored as it is: the blob is the file. `size` in bytes. */
export const plainEntry = ({
  name,
  dest,
  digest,
  size,
}: Pick<WeightEntry, "name" | "dest" | "digest" | "size">): WeightEntry => ({
  name,
  dest,
  digestOriginal: digest,
  digest,
  size,
  sizeUncompressed: size,
  mediaType: layerTypes.none,
});

/** A name in double quotes, with what a terminal would obey escaped. */
export const quoted = (text: string): string => JSON.stringify(text);

/** What a weight is called where it is shown: its name with the extension that its dest has. */
export function fileNameOf({ name, dest }: Pick<WeightEntry, "name" | "dest">): string {
  const segments = name.split("/").length;
  const file = dest.split("/").slice(-segments).join("/");
  return file.startsWith(`${name}.`) ? file : name;
}

/**
 * Checks entries from outside one by one and against each other: a name and a dest are used once, no
 * dest lies under another, and a digest has one size. Throws `file`, naming the entry and the rule.
 */
export function parseEntries(inputs: readonly unknown[], on: string): WeightEntry[] {
  const entries = inputs.map((input, index) => {
    const result = v.safeParse(WeightEntrySchema, input);
    if (result.success) return result.output;
    const [issue] = result.issues;
    const member = v.getDotPath(issue);
    throw faultyEntry(
      on,
      labelOf(input, index),
      member === null
        ? "must be an object"
        : `${member} ${issue.received === "undefined" ? "is missing" : issue.message}`,
    );
  });
  checkEntriesApart(entries, on);
  checkSizes(entries, on);
  return entries;
}

/** One digest can't have two sizes: such a list was not made from files. */
function checkSizes(entries: readonly WeightEntry[], on: string): void {
  const sizes = new Map<string, number>();
  for (const { name, digest, size, digestOriginal, sizeUncompressed } of entries) {
    for (const [of, bytes] of [
      [digest, size],
      [digestOriginal, sizeUncompressed],
    ] as const) {
      const known = sizes.get(of) ?? bytes;
      if (known !== bytes) {
        throw faultyEntry(
          on,
          quoted(name),
          `digest ${of} has two sizes: ${known} and ${bytes} bytes`,
        );
      }
      sizes.set(of, bytes);
    }
  }
}

const NamedDestSchema = v.object({
  name: weightEntryMembers.name,
  dest: weightEntryMembers.dest,
});

/** Checks a name and a dest that are to become an entry's. Throws `file`, naming the rule. */
export function checkNameAndDest(entry: Pick<WeightEntry, "name" | "dest">, on: string): void {
  const result = v.safeParse(NamedDestSchema, entry);
  if (result.success) return;
  const [issue] = result.issues;
  throw faultyEntry(on, quoted(entry.name), `${v.getDotPath(issue)} ${issue.message}`);
}

/** Checks entries against each other: a name and a dest are used once, and no dest lies under another. */
export function checkEntriesApart(
  entries: readonly Pick<WeightEntry, "name" | "dest">[],
  on: string,
): void {
  const names = new Set<string>();
  for (const { name } of entries) {
    if (names.has(name)) throw faultyEntry(on, quoted(name), "the name is used twice");
    names.add(name);
  }
  checkDestsApart(entries, (name, fault) => faultyEntry(on, quoted(name), fault));
}

const faultyEntry = (on: string, label: string, fault: string): OcibundleError =>
  new OcibundleError("file", `${on}: entry ${label}: ${fault}`);

/** The entry's name where it has one, else its place in the list, counted from 1. */
function labelOf(input: unknown, index: number): string {
  const name = (input as { name?: unknown } | null | undefined)?.name;
  return typeof name === "string" && name !== "" ? quoted(name) : `${index + 1}`;
}

const encoder = new TextEncoder();

/** The entries sorted by the bytes of their names, as Go sorts strings. */
export function sortedByName<T extends { name: string }>(entries: readonly T[]): T[] {
  return entries
    .map((entry) => ({ entry, key: encoder.encode(entry.name) }))
    .toSorted((a, b) => Buffer.compare(a.key, b.key))
    .map(({ entry }) => entry);
}
