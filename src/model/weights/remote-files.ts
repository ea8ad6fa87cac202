import type { SourceAddress } from "../format/source-uri.ts";
import type { Config } from "../session/config.ts";
import type { JobContext } from "../session/session.ts";
import { bucketFiles } from "./bucket-source.ts";
import { hubFiles } from "./hub-source.ts";
import type { FoundRemote, RemoteChoice } from "./remote-choice.ts";
import { webFiles } from "./web-source.ts";

/**
 * The files of a source, or of a part of it, that the filter takes. As in a directory, what has a name that
 * starts with a dot is left out unless an include pattern names such a file. Throws `not_found`, `denied`,
 * `network`, `usage`, `file`.
 */
export function remoteFiles(
  job: JobContext & { config?: Config },
  address: SourceAddress,
  choice: RemoteChoice,
): Promise<FoundRemote[]> {
  switch (address.kind) {
    case "hub":
      return hubFiles(job, address, choice);
    case "s3":
      return bucketFiles(job, address, choice);
    case "web":
      return webFiles(job, address, choice);
  }
}
