import { join } from "node:path";
import { OcibundleError } from "../errors.ts";
import { isMissing, readingCode, unreadableBecause } from "../runtime/file-faults.ts";
import { homeDirectory } from "../runtime/home-directory.ts";
import { readDocument } from "../runtime/read-document.ts";
import { checkedCredential, type Environment, type S3Credential } from "./credential.ts";

/** What the shared files say under one name. */
export interface Profile {
  credential: S3Credential | undefined;
  region: string | undefined;
}

type Section = Readonly<Record<string, string>>;

const maxFileBytes = 1024 * 1024;

/** Ways to keys that only Amazon's own programs go. */
const elsewhere = [
  "credential_process",
  "sso_session",
  "sso_start_url",
  "role_arn",
  "login_session",
];

/**
 * The profile that `AWS_PROFILE` names, else `default` where there is one. Throws `usage` for a name that is in
 * neither file and, where its keys are wanted, for one that has none; `file` for a named one that can't be read.
 */
export async function readProfile(
  env: Environment,
  wantsKeys: boolean,
): Promise<Profile | undefined> {
  const named = env["AWS_PROFILE"] || env["AWS_DEFAULT_PROFILE"] || undefined;
  const name = named ?? "default";
  const home = homeDirectory(env);
  const pathOf = (variable: string, file: string): string | undefined =>
    env[variable] || (home === undefined ? undefined : join(home, ".aws", file));
  const credentials = await readSection(pathOf("AWS_SHARED_CREDENTIALS_FILE", "credentials"), name);
  const config =
    (await readSection(pathOf("AWS_CONFIG_FILE", "config"), `profile ${name}`)) ??
    (await readSection(pathOf("AWS_CONFIG_FILE", "config"), name));
  if (credentials === undefined && config === undefined) {
    if (named === undefined || !wantsKeys) return undefined;
    throw new OcibundleError(
      "usage",
      `AWS_PROFILE "${named}" is not in the credentials file or the config file`,
      { hint: "use another profile, or unset AWS_PROFILE" },
    );
  }
  const all = { ...config, ...credentials };
  const [accessKeyId, secretAccessKey] = [all["aws_access_key_id"], all["aws_secret_access_key"]];
  const region = all["region"] || undefined;
  if (accessKeyId && secretAccessKey) {
    const sessionToken = all["aws_session_token"] || undefined;
    const credential = { accessKeyId, secretAccessKey, sessionToken };
    return { credential: checkedCredential(credential, `the profile "${name}"`), region };
  }
  const way = elsewhere.find((key) => all[key]);
  if (named !== undefined && wantsKeys && way !== undefined) {
    throw new OcibundleError("usage", `the profile "${name}" has no keys, but ${way}`, {
      hint: `run \`eval "$(aws configure export-credentials --profile ${name} --format env)"\` first`,
    });
  }
  return { credential: undefined, region };
}

async function readSection(path: string | undefined, name: string): Promise<Section | undefined> {
  if (path === undefined) return undefined;
  let text: string;
  try {
    text = (await readDocument(path, { maxBytes: maxFileBytes })).toString("utf8");
  } catch (cause) {
    if (isMissing(cause)) return undefined;
    throw new OcibundleError(readingCode(cause), `"${path}" ${unreadableBecause(cause)}`, {
      hint: "set AWS_SHARED_CREDENTIALS_FILE and AWS_CONFIG_FILE to readable files",
      cause,
    });
  }
  return sectionOf(text, name);
}

/** One section of a file in Amazon's form: `[name]`, then `key = value`; what is indented belongs to a key. */
function sectionOf(text: string, name: string): Section | undefined {
  let found: Record<string, string> | undefined;
  let isHere = false;
  for (const line of text.split(/\r?\n/)) {
    if (/^\s*(?:[#;]|$)/.test(line)) continue;
    const header = /^\[\s*(.*?)\s*\]/.exec(line)?.[1];
    if (header !== undefined) {
      isHere = header.replaceAll(/\s+/g, " ").replaceAll('"', "") === name;
      if (isHere) found ??= {};
      continue;
    }
    const [, key, value] = /^([^\s=][^=]*?)\s*=\s*(.*?)\s*$/.exec(line) ?? [];
    if (isHere && found !== undefined && key !== undefined) {
      found[key.toLowerCase()] = (value ?? "").replace(/\s+[#;].*$/, "");
    }
  }
  return found;
}
