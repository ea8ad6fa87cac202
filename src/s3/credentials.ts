import { OcibundleError } from "../errors.ts";
import { containerRole } from "./container-role.ts";
import {
  checkedCredential,
  type CredentialOptions,
  type CredentialProvider,
  type Environment,
  type S3Credential,
} from "./credential.ts";
import { instanceRole } from "./instance-role.ts";
import { type Profile, readProfile } from "./profile.ts";
import { webIdentity } from "./web-identity.ts";

/** New ones are asked for so long before they expire, in milliseconds. */
const early = 5 * 60_000;

/** What is signed with, and the region that the profile names. */
export interface S3Credentials {
  profile: Profile | undefined;
  /** Undefined: requests are not signed. Throws `usage`, `file`, `denied`, `network`. */
  get(signal: AbortSignal): Promise<S3Credential | undefined>;
}

/**
 * The credentials of a run, looked for as Amazon's own clients do: the environment, a profile of the shared
 * files, a web identity, the role of a container, the role of the machine where that is asked for. Throws
 * `usage` and `file` for a profile that can't be used.
 */
export async function s3Credentials(
  env: Environment,
  optionsFor: (profile: Profile | undefined) => CredentialOptions,
): Promise<S3Credentials> {
  const given = fromEnvironment(env);
  const profile = await readProfile(env, given === undefined);
  const options = optionsFor(profile);
  const providers: readonly CredentialProvider[] = [webIdentity, containerRole, instanceRole];
  let known: Promise<S3Credential | undefined> | undefined;
  const ask = async (signal: AbortSignal): Promise<S3Credential | undefined> => {
    const fixed = given ?? profile?.credential;
    if (fixed !== undefined) return fixed;
    for (const provider of providers) {
      const credential = await provider(options, signal);
      if (credential !== undefined) return credential;
    }
    return undefined;
  };
  return {
    profile,
    async get(signal) {
      known ??= ask(signal);
      const asked = known;
      try {
        const credential = await asked;
        const { expires } = credential ?? {};
        if (expires === undefined || expires - early > options.clock.now()) return credential;
      } catch (error) {
        if (known === asked) known = undefined;
        throw error;
      }
      if (known === asked) known = ask(signal);
      return known;
    },
  };
}

function fromEnvironment(env: Environment): S3Credential | undefined {
  const [accessKeyId, secretAccessKey] = [env["AWS_ACCESS_KEY_ID"], env["AWS_SECRET_ACCESS_KEY"]];
  if (!accessKeyId && !secretAccessKey) return undefined;
  if (!accessKeyId || !secretAccessKey) {
    const [set, unset] = accessKeyId
      ? ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"]
      : ["AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID"];
    throw new OcibundleError("usage", `${set} is set, but ${unset} is not`, {
      hint: "set both, or neither",
    });
  }
  return checkedCredential(
    { accessKeyId, secretAccessKey, sessionToken: env["AWS_SESSION_TOKEN"] || undefined },
    "the environment",
  );
}
