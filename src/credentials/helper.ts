import { errno, OcibundleError } from "../errors.ts";
import type { Credential } from "./credential.ts";
import { type ProcessEnd, type ProcessOptions, runHelper } from "./helper-process.ts";
import { isObject, member } from "./members.ts";

/** The user name that stands for "the secret is an identity token". */
const tokenUser = "<token>";

/** What running a credential helper needs. */
export type HelperOptions = ProcessOptions;

/**
 * Asks `docker-credential-NAME` for a credential, or undefined when it has none. Throws `denied`, `file` for a name
 * that is none.
 */
export async function helperGet(
  name: string,
  key: string,
  options: HelperOptions,
): Promise<Credential | undefined> {
  const { code, output } = await run(name, "get", key, options);
  if (code !== 0) {
    if (saysNotFound(output)) return undefined;
    throw failed(name, output);
  }
  const answer = parse(output);
  if (answer === undefined) throw failed(name, "its response is not a credential");
  if (answer.Secret === "") return undefined;
  if (answer.Username === "") throw failed(name, "its response is not a credential");
  if (answer.Username === tokenUser) return { kind: "refresh", token: answer.Secret };
  return { kind: "password", username: answer.Username, password: answer.Secret };
}

/** Gives a credential to a helper to keep. Throws as `helperGet` does. */
export async function helperStore(
  name: string,
  key: string,
  credential: Exclude<Credential, { kind: "bearer" }>,
  options: HelperOptions,
): Promise<void> {
  const [user, secret] =
    credential.kind === "refresh"
      ? [tokenUser, credential.token]
      : [credential.username, credential.password];
  const input = JSON.stringify({ ServerURL: key, Username: user, Secret: secret });
  const { code, output } = await run(name, "store", input, options);
  // Some put what they could not do into their words.
  if (code !== 0) throw failed(name, output.replaceAll(secret, "***"));
}

/** Has a helper forget a credential; that it has none is no failure. Throws as `helperGet` does. */
export async function helperErase(
  name: string,
  key: string,
  options: HelperOptions,
): Promise<void> {
  const { code, output } = await run(name, "erase", key, options);
  if (code !== 0 && !saysNotFound(output)) throw failed(name, output);
}

const saysNotFound = (output: string): boolean =>
  /credentials not found|no credentials|not found in native keychain/i.test(output);

/** github.com/docker/docker-credential-helpers, "Development". What is missing is empty, as to Go. */
function parse(output: string): { Username: string; Secret: string } | undefined {
  try {
    const json: unknown = JSON.parse(output);
    if (!isObject(json)) return undefined;
    const Username = member(json, "Username") ?? "";
    const Secret = member(json, "Secret") ?? "";
    if (typeof Username !== "string" || typeof Secret !== "string") return undefined;
    return { Username, Secret };
  } catch {
    return undefined;
  }
}

/** Runs the helper: its program, a word, and what it reads. Its words are never shown where it succeeded. */
async function run(
  name: string,
  word: "get" | "store" | "erase",
  input: string,
  options: HelperOptions,
): Promise<{ code: number; output: string }> {
  // The name becomes a program's name: it must not become a path.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) {
    throw new OcibundleError("file", `"${name}" is not the name of a credential helper`);
  }
  const program = `docker-credential-${name}`;
  let end: ProcessEnd;
  try {
    end = await runHelper(program, word, input, options);
  } catch (cause) {
    const code = errno(cause);
    if (cause instanceof OcibundleError || code === undefined) throw cause;
    const why = code === "ENOENT" ? "is not installed" : `cannot be started: ${code}`;
    throw new OcibundleError("denied", `the credential helper "${program}" ${why}`, {
      hint: "install it, or remove it from the Docker configuration",
      cause,
    });
  }
  if (end.ended !== undefined) {
    throw failed(
      name,
      end.ended === "timeout" ? "no response in time" : "its response is too long",
    );
  }
  return { code: end.code ?? -1, output: end.output };
}

function failed(name: string, output: string): OcibundleError {
  const words = output.replaceAll(/[\p{Cc}\s]+/gu, " ").slice(0, 200);
  return new OcibundleError(
    "denied",
    `the credential helper "docker-credential-${name}" failed${words === "" ? "" : `: ${words}`}`,
    { hint: "run it to see why, or remove it from the Docker configuration" },
  );
}
