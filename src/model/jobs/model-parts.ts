import type { WeightsChoice } from "../lock/from-lock.ts";
import type { PartsCompression } from "../weights/store-parts.ts";

/** Which image and weights make the model: what `build` and `push` are given. */
export interface ModelParts extends Omit<WeightsChoice, "titles"> {
  /** A source as in docs/images.md. */
  image: string | undefined;
  /** `os/architecture[/variant]`. */
  platform: string | undefined;
  /** A model whose weights artifact is used as it is, in place of a lock. */
  weightsFrom: string | undefined;
  format: string | undefined;
  /** What the weights are written as; the bundle's weights artifact when undefined. */
  layout?: string | undefined;
  /** `KEY=VALUE` for the manifest that gets the tag. */
  annotation?: readonly string[] | undefined;
  /** Whether the weights say where they came from, as the lock has it. */
  annotationsFromSource?: boolean | undefined;
  /** Whether the same files stand beside them as the image of the layout `image`. */
  volume?: boolean | undefined;
  /** The directory of the files in the layout `image`. */
  root?: string | undefined;
  /** The most layers of weights in parts. */
  mostParts?: number | undefined;
  /** How parts are stored; as the lock says when undefined. */
  compression?: PartsCompression | undefined;
}
