import { isIP } from "node:net";
import { resolve } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { readingCode, unreadableBecause } from "../../runtime/file-faults.ts";
import { readDocumentSync } from "../../runtime/read-document.ts";
import { namedHost } from "../../serve/access.ts";
import type { JobContext } from "../session/session.ts";

/** The longest token that is read, in bytes. */
const maxTokenBytes = 4096;

/** Refuses flags of which one would have no effect. Throws `usage`. */
export function checkFlags({
  offline,
  useCache,
  anonymous,
  tokenFile,
}: {
  offline: boolean;
  useCache: boolean;
  anonymous: boolean;
  tokenFile: string | undefined;
}): void {
  const [flags, why] =
    offline && !useCache
      ? ["--offline and --no-cache", "offline, all content comes from the cache"]
      : anonymous && tokenFile !== undefined
        ? ["--anonymous and --token-file", "with a token, no client is anonymous"]
        : [];
  if (flags === undefined) return;
  throw new OcibundleError("usage", `${flags} cannot be used together`, {
    hint: `remove one of them: ${why}`,
  });
}

/** `ADDRESS:PORT`, `:PORT` or `ADDRESS`. Throws `usage`. */
export function parseListen(text: string): { address: string; port: number } {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^:[\]]*))(?::(\d{1,5}))?$/i.exec(text);
  const named = match?.[1] ?? match?.[2] ?? "";
  const address = named === "" || named === "localhost" ? "127.0.0.1" : named;
  const port = Number(match?.[3] ?? "8086");
  if (match === null || isIP(address) === 0 || port > 65_535) {
    throw new OcibundleError("usage", `--listen: "${text}" is not of the form ADDRESS:PORT`, {
      hint: "use an address of this machine, such as 127.0.0.1:8086 or 0.0.0.0:8086; port 0 selects a free port",
    });
  }
  return { address, port };
}

/**
 * A name or address in lower case, as in a Host header without the port; `on` names the flag or setting. Throws
 * `usage`.
 */
export function parseHostName(on: string, text: string): string {
  const name = namedHost(text);
  if (name !== undefined) return name;
  throw new OcibundleError("usage", `${on}: "${text}" is not a host name`, {
    hint: "use a name or an address such as models.internal",
  });
}

/** The token of a file, else of the environment. Throws `file`, `system`, `usage` for one that no header can carry. */
export function readToken({ cwd, env }: JobContext, path: string | undefined): string | undefined {
  const variable = env["OCIBUNDLE_SERVE_TOKEN"];
  let text = variable === "" ? undefined : variable;
  let on = "OCIBUNDLE_SERVE_TOKEN";
  if (path !== undefined) {
    on = `--token-file "${path}"`;
    try {
      const file = resolve(cwd, path);
      const bytes = readDocumentSync(file, { maxBytes: maxTokenBytes, named: true });
      text = new TextDecoder().decode(bytes).trim();
    } catch (cause) {
      throw new OcibundleError(readingCode(cause), `${on} ${unreadableBecause(cause)}`, { cause });
    }
  }
  if (text === undefined) return undefined;
  if (/^[\u0021-\u007e]+$/.test(text)) return text;
  const why =
    text === "" ? "has no token" : "has characters that a token cannot have, such as spaces";
  throw new OcibundleError("usage", `${on} ${why}`, {
    hint: 'write one line of letters and digits to it, such as the output of `echo "hf_$(openssl rand -hex 20)"`',
  });
}
