import { OcibundleError } from "../../errors.ts";
import { type Digest, digestHex } from "../../oci/digest.ts";

/** Hex digits of a commit on a hub, which is a SHA-1: clients take other lengths for no commit. */
const commitLength = 40;

/**
 * The commit that stands for weights wherever a client of a hub wants one: the first 40 hex digits of the digest
 * of the weights artifact. New code around the same weights is the same commit.
 */
export const hubRevision = (digest: Digest): string => digestHex(digest).slice(0, commitLength);

/** `NAME` or `ORG/NAME` as hubs have them: letters, digits, `_`, and single `-` and `.` between them. */
const name = "[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?";
const idPattern = new RegExp(`^(?:${name}/)?${name}$`);
const longestId = 96;

/** Whether a text is the id of a model on a hub. "--" separates the parts of an id in the names of directories. */
export const isHubId = (text: string): boolean =>
  text.length <= longestId &&
  idPattern.test(text) &&
  !text.includes("--") &&
  !text.includes("..") &&
  !text.endsWith(".git");

/** The directory of a model in a hub's cache. Throws `usage` for what is no id of a model. */
export function hubDirectoryName(id: string): string {
  if (!isHubId(id)) {
    throw new OcibundleError("usage", `"${id}" is not a model ID of a hub`, {
      hint: "use ORG/MODEL: letters, digits, and single -, _ and . between them",
    });
  }
  return `models--${id.replace("/", "--")}`;
}
