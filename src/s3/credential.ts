import { OcibundleError } from "../errors.ts";
import type { CertificateOptions } from "../http/certificates.ts";
import type { EmitHttpEvent } from "../http/message/message.ts";
import type { Clock } from "../retry/clock.ts";

/** Variables of the environment, by name. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** A key to sign requests with. */
export interface S3Credential {
  accessKeyId: string;
  secretAccessKey: string;
  sessionToken?: string | undefined;
  /** In milliseconds since 1970; undefined for keys that stay. */
  expires?: number | undefined;
}

/** What a provider may need to get a credential. */
export interface CredentialOptions {
  env: Environment;
  /** The region where a web identity is exchanged, if one is given. */
  region: string | undefined;
  emit: EmitHttpEvent;
  clock: Clock;
  /** The certificates for the service at `host`. */
  certificates(host: string): CertificateOptions;
}

/** Asks for a credential; undefined where the environment has none of the kind. */
export type CredentialProvider = (
  options: CredentialOptions,
  signal: AbortSignal,
) => Promise<S3Credential | undefined>;

/** Refuses keys that no header can hold. Throws `usage`. */
export function checkedCredential(credential: S3Credential, from: string): S3Credential {
  const { accessKeyId, secretAccessKey, sessionToken = "x" } = credential;
  if ([accessKeyId, secretAccessKey, sessionToken].every((text) => /^[\x21-\x7e]+$/.test(text))) {
    return credential;
  }
  throw new OcibundleError("usage", `the access key in ${from} has invalid characters`, {
    hint: "copy it again",
  });
}
