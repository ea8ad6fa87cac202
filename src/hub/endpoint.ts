import { isAbsolute, join } from "node:path";
import { OcibundleError } from "../errors.ts";
import { isLoopback } from "../http/message/loopback.ts";
import { homeDirectory } from "../runtime/home-directory.ts";
import { isMissing, readingCode, unreadableBecause } from "../runtime/file-faults.ts";
import { readDocument } from "../runtime/read-document.ts";

type Environment = Readonly<Record<string, string | undefined>>;

function fail(why: string, hint: string): never {
  throw new OcibundleError("usage", `HF_ENDPOINT ${why}`, { hint });
}

const defaultEndpoint = "https://huggingface.co";

/** Where the hub is, as `HF_ENDPOINT` says: without a slash at its end. Throws `usage`. */
export function hubEndpoint(env: Environment, plainHttp: boolean): URL {
  const text = env["HF_ENDPOINT"]?.trim() || defaultEndpoint;
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    return fail("is not an http or https URL", `set it to ${defaultEndpoint}, or unset it`);
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    return fail("contains a username, a query or a fragment", "set HF_TOKEN to authenticate");
  }
  if (url.protocol === "http:" && !isLoopback(url.host) && !plainHttp) {
    return fail(`"${url.origin}" is plain HTTP`, "set an https URL, or use --plain-http");
  }
  url.pathname = url.pathname.replace(/\/+$/, "");
  return url;
}

const isOn = (text: string | undefined): boolean => /^(?:1|on|yes|true)$/i.test(text ?? "");

/** More than this is no token, in bytes. */
const maxTokenBytes = 16 * 1024;

/**
 * The user's token for the hub, as Hugging Face's own clients look for it: `HF_TOKEN`,
 * `HUGGING_FACE_HUB_TOKEN`, then the file that `hf auth login` writes. Undefined where there is none. Throws
 * `usage` for one that no header can hold, `file` and `system` for a file that can't be read.
 */
export async function hubToken(env: Environment): Promise<string | undefined> {
  if (isOn(env["HF_HUB_DISABLE_IMPLICIT_TOKEN"])) return undefined;
  for (const name of ["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
    const token = env[name]?.trim();
    if (token) return checked(token, name);
  }
  const path = tokenPath(env);
  if (path === undefined) return undefined;
  try {
    const bytes = await readDocument(path, { maxBytes: maxTokenBytes });
    const token = new TextDecoder().decode(bytes).trim();
    return token === "" ? undefined : checked(token, `"${path}"`);
  } catch (cause) {
    if (cause instanceof OcibundleError) throw cause;
    if (isMissing(cause)) return undefined;
    throw new OcibundleError(
      readingCode(cause),
      `the token file "${path}" ${unreadableBecause(cause)}`,
      { hint: "set HF_TOKEN, or HF_HUB_DISABLE_IMPLICIT_TOKEN=1 to use no token", cause },
    );
  }
}

function checked(token: string, from: string): string {
  if (/^[\x21-\x7e]+$/.test(token)) return token;
  throw new OcibundleError("usage", `the token in ${from} contains invalid characters`, {
    hint: "copy it again from the hub's settings",
  });
}

function tokenPath(env: Environment): string | undefined {
  const named = env["HF_TOKEN_PATH"];
  if (named) return named;
  const hub = env["HF_HOME"];
  if (hub) return join(hub, "token");
  const cache = env["XDG_CACHE_HOME"];
  if (cache && isAbsolute(cache)) return join(cache, "huggingface", "token");
  const home = homeDirectory(env);
  return home === undefined ? undefined : join(home, ".cache", "huggingface", "token");
}
