import type { Digest } from "../oci/digest.ts";

/** What `inspect --tensors` found; with `--json` its shape is part of the surface (docs/json.md). Sizes in bytes. */
export interface InspectedTensors {
  name: string;
  /** Of the manifest or index. */
  digest: Digest;
  files: TensorsOfFile[];
}

/** The tensors of one weight file. */
export interface TensorsOfFile {
  name: string;
  dest: string;
  size: number;
  /** Null, as `tensors` is then, for a file of no format that is known, and for one that must be unpacked first. */
  format: "safetensors" | "gguf" | "zip" | null;
  tensors:
    | {
        name: string;
        /** As the format calls it, such as `BF16`; null where it is not known. */
        dtype: string | null;
        shape: readonly number[] | null;
        /** As it lies in the file, with the padding behind it. */
        bytes: number;
      }[]
    | null;
}
