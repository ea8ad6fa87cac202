import type { KnownConfigs, KnownLayers } from "../../image/conversion/types.ts";
import type { PartTarget } from "../weights/send-parts.ts";
import type { TreeNumbers } from "../parts/tree.ts";

/** What is known of the place the model goes to. */
export interface TargetKnowledge {
  /** Of the registry; undefined for a layout. */
  host?: string;
  knownLayers?: KnownLayers;
  configs?: KnownConfigs;
  /** What `numbers` are of. */
  base?: string;
  /** By which numbers the weights in parts are split that it has now. Never throws. */
  numbers?: () => Promise<TreeNumbers | undefined>;
  /** Where parts are sent when they are encoded. */
  parts?: PartTarget;
}
