import type { VerifySettings } from "../session/verify-settings.ts";
import type { LinkMode } from "../session/link-mode.ts";

/** What a pull of weights is asked for. */
export interface PullRequest {
  /** A reference, layout or archive. */
  source: string;
  /** The directory that the dests go under. */
  output: string;
  /** Globs of files; all when empty. */
  only: readonly string[];
  /** The directory of an image whose files are wanted. */
  path?: string | undefined;
  /** Whether files with other content are replaced. */
  force: boolean;
  /** Whether blobs go through the cache; otherwise straight into the directory. */
  useCache: boolean;
  /** Files and directories that parts of the weights are looked for in. */
  seeds?: readonly string[] | undefined;
  /** Whether the digest of each file that is put together from parts is checked as well. */
  checkWhole?: boolean | undefined;
  /** Who must have signed it; as the configuration has it unless given. */
  requires?: VerifySettings | undefined;
  /** How files come from the cache: the flag; else the environment and the configuration say it. */
  link?: LinkMode | undefined;
  /** Whether the directory is to have what the model has: files of earlier versions go, all at once. */
  sync?: boolean | undefined;
  /** The id that the model is to have in a cache of huggingface_hub; `output` is its directory there. */
  hubId?: string | undefined;
}
