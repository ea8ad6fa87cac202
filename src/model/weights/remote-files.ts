import type { SourceAddress } from "../format/source-uri.ts";
import type { Config } from "../session/config.ts";
import type { JobContext } from "../session/session.ts";
import type { FoundRemote, RemoteChoice } from "./remote-choice.ts";

/**
 * The files of a source, or of a part of it, that the filter takes. As in a directory, what has a name that
 * starts with a dot is left out unless an include pattern names such a file. Throws `not_found`, `denied`,
 * `network`, `usage`, `file`.
 */
export async function remoteFiles(
  job: JobContext & { config?: Config },
  address: SourceAddress,
  choice: RemoteChoice,
): Promise<FoundRemote[]> {
  // Each kind is loaded when it is needed: a push of local files needs none.
  switch (address.kind) {
    case "hub":
      return (await import("./hub-source.ts")).hubFiles(job, address, choice);
    case "s3":
      return (await import("./bucket-source.ts")).bucketFiles(job, address, choice);
    case "web":
      return (await import("./web-source.ts")).webFiles(job, address, choice);
  }
}
