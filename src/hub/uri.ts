import { OcibundleError } from "../errors.ts";
import { isSafePath } from "../remote/path.ts";

/** A model on a hub, or a part of it: `hf://ORG/MODEL[@REV][/PATH]`. */
export interface HubAddress {
  /** `ORG/MODEL`, or the one name of an old model. */
  model: string;
  /** A branch, a tag or a commit; `main` unless given. */
  revision: string;
  /** A file or a directory of it, without slashes at its ends; empty for all of it. */
  path: string;
}

const scheme = /^(?:hf|huggingface):\/\//i;

/** Whether a text names something on a hub. */
export const isHubUri = (text: string): boolean => scheme.test(text);

const namePattern = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,94}[A-Za-z0-9_])?$/;
const revisionPattern = /^(?!\.)[\w.+-]+(?:\/[\w.+-]+)*$/;
const otherKinds = new Set(["datasets", "spaces", "kernels", "buckets"]);
const isName = (text: string): boolean => namePattern.test(text) && !text.includes("..");

/** Reads the address of a model. Throws `usage`. */
export function parseHubUri(text: string): HubAddress {
  const fail = (why: string): never => {
    throw new OcibundleError("usage", `"${text}" ${why}`, {
      hint: "use hf://ORG/MODEL, hf://ORG/MODEL@REVISION or hf://ORG/MODEL/PATH",
    });
  };
  const parts = text.replace(scheme, "").replace(/\/+$/, "").split("/");
  if (parts[0] === "models") parts.shift();
  if (otherKinds.has(parts[0] ?? "")) fail(`is one of the ${parts[0]} of a hub, not a model`);
  // "hf://gpt2@main" is an old model without an organization.
  const isOld = parts.length === 1 || /^[^@]+@/.test(parts[0] ?? "");
  const last = isOld ? 0 : 1;
  const [name = "", given] = split(parts[last] ?? "");
  const names = isOld ? [name] : [parts[0] ?? "", name];
  if (!names.every(isName)) fail("does not name a model");
  let rest = parts.slice(last + 1);
  let revision = given;
  // Pull requests and conversions are the revisions that are written with slashes.
  if (revision === "refs" && (rest[0] === "pr" || rest[0] === "convert") && rest[1] !== undefined) {
    revision = `refs/${rest[0]}/${rest[1]}`;
    rest = rest.slice(2);
  }
  if (revision !== undefined) revision = decoded(revision);
  if (revision !== undefined && (!revisionPattern.test(revision) || revision.includes(".."))) {
    fail("has no revision after the @");
  }
  const path = rest.join("/");
  if (path !== "" && !isSafePath(path)) fail("has a path that is not valid in a model");
  return { model: names.join("/"), revision: revision ?? "main", path };
}

function split(text: string): [name: string, revision?: string] {
  const at = text.indexOf("@");
  return at === -1 ? [text] : [text.slice(0, at), text.slice(at + 1)];
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

/** The address of a file at a commit: `hf://acme/llama@<40 hex>/model.safetensors`. */
export const formatHubUri = ({ model, revision, path }: HubAddress): string =>
  `hf://${model}@${revision}${path === "" ? "" : `/${path}`}`;
