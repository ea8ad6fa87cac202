import { eraseCredential, storeCredential } from "../../credentials/keep.ts";
import { keptFor } from "../../credentials/kept.ts";
import { OcibundleError } from "../../errors.ts";
import { defaultHost, parseReference } from "../../oci/reference.ts";
import { createRegistry } from "../../registry/registry.ts";
import { lockFile } from "../../store/locks/wait-for-lock.ts";
import { whereLockable } from "../../store/locks/where-possible.ts";
import { readConfig } from "../session/config.ts";
import { checkFlags, registryOptions } from "../session/connect.ts";
import type { JobContext } from "../session/session.ts";
import type { LoginResult, LogoutResult } from "../../report/login.ts";

/**
 * Tries a user and a password at a registry, and keeps them where Docker does once it took them. They are
 * asked for when nothing else is wrong. Throws `denied` when it did not, `network`, `usage`, `file`.
 */
export async function login(
  job: JobContext,
  where: string,
  askFor: () => Promise<{ username: string; password: string }>,
): Promise<LoginResult> {
  const host = parseHost(where);
  checkFlags(job.flags);
  const { username, password } = await askFor();
  if (username === "" || username.includes(":")) {
    throw new OcibundleError("usage", "the username is empty or contains a colon", {
      hint: "specify a username with --username",
    });
  }
  if (password === "") {
    throw new OcibundleError("usage", "the password is empty", {
      hint: "pass the password on standard input with --password-stdin",
    });
  }
  const credential = { kind: "password", username, password } as const;
  let checked = false;
  const registry = createRegistry(host, {
    ...registryOptions({ ...job, config: readConfig(job) }, host),
    credentials() {
      checked = true;
      return Promise.resolve(credential);
    },
  });
  try {
    await registry.ping(job.signal);
  } catch (error) {
    if (!(error instanceof OcibundleError) || error.code !== "denied") throw error;
    throw new OcibundleError("denied", `${host}: invalid username or password`, {
      hint: "check the password; some registries require an access token instead",
      cause: error,
    });
  }
  const keptBy = await storeCredential(host, credential, keepOptions(job));
  return { host, username, keptBy, checked };
}

/** Forgets what is kept for a registry. Throws `usage`, `file`, `denied` (of a helper). */
export async function logout(job: JobContext, where: string): Promise<LogoutResult> {
  const host = parseHost(where);
  const removed = await eraseCredential(host, keepOptions(job));
  return { host, removed, left: await keptFor(host, job.env, job.signal) };
}

/** How long another login may hold the config, in milliseconds: one that hangs is not waited for longer. */
const lockPatience = 10_000;

function keepOptions({ env, signal }: JobContext): Parameters<typeof eraseCredential>[1] {
  return {
    env,
    signal,
    async lock(path) {
      const patience = AbortSignal.any([signal, AbortSignal.timeout(lockPatience)]);
      try {
        return await whereLockable(() => lockFile(path, { signal: patience }));
      } catch (error) {
        signal.throwIfAborted();
        if (patience.aborted) return undefined;
        throw error;
      }
    },
  };
}

/** A registry as references name it. Throws `usage`. */
function parseHost(text: string): string {
  const hint = `use a host, such as registry.example.com or localhost:5000; Docker Hub is ${defaultHost}`;
  if (text.includes("@")) {
    throw new OcibundleError("usage", "a registry host cannot contain a username or password", {
      hint: "use --username, and pass the password on standard input with --password-stdin",
    });
  }
  if (text.includes("://")) {
    throw new OcibundleError("usage", `"${text}" is not a registry: it has a scheme`, { hint });
  }
  try {
    // A repository behind it makes the reference whole; a first part that is no host becomes its path.
    const { host, repository } = parseReference(`${text}/library/check`);
    if (repository === "library/check") return host;
  } catch {
    // What is wrong with the reference would be said of the one made up here.
  }
  throw new OcibundleError("usage", `"${text}" is not a registry`, { hint });
}
