import { spawn } from "node:child_process";
import * as v from "valibot";
import { errno, OcibundleError } from "../errors.ts";
import type { Credential, Environment } from "./credential.ts";

/** What a helper says is read up to this, in bytes. */
const maxOutputBytes = 1024 * 1024;

/** A helper may ask a person to unlock something, so it has this long, in milliseconds. */
const helperTimeout = 120_000;

/** The user name that stands for "the secret is an identity token". */
const tokenUser = "<token>";

/** github.com/docker/docker-credential-helpers, "Development". */
const AnswerSchema = v.looseObject({ Username: v.string(), Secret: v.string() });

export interface HelperOptions {
  env: Environment;
  signal?: AbortSignal | undefined;
}

/** Asks `docker-credential-NAME` for a credential, or undefined when it has none. Throws `denied`. */
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
  if (answer === undefined) throw failed(name, "its answer is not a credential");
  if (answer.Secret === "") return undefined;
  if (answer.Username === tokenUser) return { kind: "refresh", token: answer.Secret };
  return { kind: "password", username: answer.Username, password: answer.Secret };
}

/** Gives a credential to a helper to keep. Throws `denied`. */
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

/** Has a helper forget a credential; that it has none is no failure. Throws `denied`. */
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

function parse(output: string): v.InferOutput<typeof AnswerSchema> | undefined {
  try {
    const result = v.safeParse(AnswerSchema, JSON.parse(output));
    return result.success ? result.output : undefined;
  } catch {
    return undefined;
  }
}

/** Runs the helper: its program, a word, and what it reads. Its words are never shown where it succeeded. */
async function run(
  name: string,
  word: "get" | "store" | "erase",
  input: string,
  { env, signal }: HelperOptions,
): Promise<{ code: number; output: string }> {
  // The name becomes a program's name: it must not become a path.
  if (!/^[A-Za-z0-9][A-Za-z0-9._-]*$/.test(name)) {
    throw new OcibundleError("file", `"${name}" is not the name of a credential helper`);
  }
  signal?.throwIfAborted();
  const program = `docker-credential-${name}`;
  const { promise, resolve, reject } = Promise.withResolvers<{ code: number; output: string }>();
  const child = spawn(program, [word], {
    env: { ...env },
    stdio: ["pipe", "pipe", "ignore"],
    timeout: helperTimeout,
  });
  const stop = (): void => {
    child.kill();
    reject(signal?.reason);
  };
  signal?.addEventListener("abort", stop, { once: true });

  const chunks: Buffer[] = [];
  let size = 0;
  child.stdout.on("data", (chunk: Buffer) => {
    size += chunk.byteLength;
    if (size <= maxOutputBytes) chunks.push(chunk);
    else child.kill();
  });
  child.on("error", (cause) => {
    const missing = errno(cause) === "ENOENT";
    reject(
      new OcibundleError(
        "denied",
        missing
          ? `the credential helper "${program}" is not installed`
          : `the credential helper "${program}" can't be started`,
        { hint: "install it, or take it out of the Docker config", cause },
      ),
    );
  });
  child.on("close", (code) => {
    resolve({ code: code ?? -1, output: Buffer.concat(chunks).toString("utf8").trim() });
  });
  // A helper that ends without reading closes the pipe; its exit code says what happened.
  child.stdin.on("error", () => undefined);
  child.stdin.end(input);
  try {
    return await promise;
  } finally {
    signal?.removeEventListener("abort", stop);
  }
}

function failed(name: string, output: string): OcibundleError {
  const words = output.replaceAll(/[\p{Cc}\s]+/gu, " ").slice(0, 200);
  return new OcibundleError(
    "denied",
    `the credential helper "docker-credential-${name}" failed${words === "" ? "" : `: ${words}`}`,
    { hint: "check that it works by itself, or take it out of the Docker config" },
  );
}
