import { OcibundleError } from "../errors.ts";
import type { SignerSettings, VerifySettings } from "../model/session/verify-settings.ts";

/** Flags that say who must have signed, named as cosign names them. */
export const signerArgs = {
  key: {
    type: "string",
    valueHint: "FILE",
    description: "Require a signature by this public key: a file or env://NAME",
  },
  certificateIdentity: {
    type: "string",
    valueHint: "NAME",
    description: "Require a signature by this identity: an email address or URL",
  },
  certificateIdentityRegexp: {
    type: "string",
    valueHint: "PATTERN",
    description: "Regular expression for --certificate-identity",
  },
  certificateOidcIssuer: {
    type: "string",
    valueHint: "URL",
    description: "Require this OIDC issuer of the identity",
  },
  certificateOidcIssuerRegexp: {
    type: "string",
    valueHint: "PATTERN",
    description: "Regular expression for --certificate-oidc-issuer",
  },
  trustedRoot: {
    type: "string",
    valueHint: "FILE",
    description: "Sigstore trusted root file, to verify identities",
  },
} as const;

type SignerFlags = Partial<Record<keyof typeof signerArgs, string | undefined>>;

const flagNames: Readonly<Record<keyof typeof signerArgs, string>> = {
  key: "--key",
  certificateIdentity: "--certificate-identity",
  certificateIdentityRegexp: "--certificate-identity-regexp",
  certificateOidcIssuer: "--certificate-oidc-issuer",
  certificateOidcIssuerRegexp: "--certificate-oidc-issuer-regexp",
  trustedRoot: "--trusted-root",
};

/** The first of these flags that was given, as it is typed. */
export function givenSignerFlag(flags: SignerFlags): string | undefined {
  const given = Object.entries(flagNames).find(
    ([name]) => flags[name as keyof typeof signerArgs] !== undefined,
  );
  return given?.[1];
}

/** Who must have signed, or undefined where no flag says it. Throws `usage`. */
export function signerOf(flags: SignerFlags): SignerSettings | undefined {
  const { key, certificateIdentity: identity, certificateIdentityRegexp, trustedRoot } = flags;
  const { certificateOidcIssuer: issuer, certificateOidcIssuerRegexp } = flags;
  const identityRegexp = pattern(flagNames.certificateIdentityRegexp, certificateIdentityRegexp);
  const issuerRegexp = pattern(flagNames.certificateOidcIssuerRegexp, certificateOidcIssuerRegexp);
  const first = givenSignerFlag({ ...flags, key: undefined });
  if (first === undefined) return key === undefined ? undefined : { kind: "key", key };
  if (key !== undefined) {
    throw new OcibundleError("usage", `--key and ${first} cannot be used together`, {
      hint: "use --key for key pairs, and the identity flags for certificates",
    });
  }
  oneOf(flagNames.certificateIdentity, identity, identityRegexp);
  oneOf(flagNames.certificateOidcIssuer, issuer, issuerRegexp);
  if (trustedRoot === undefined) {
    throw new OcibundleError("usage", "--trusted-root is missing: it is required for identities", {
      hint: "use the trusted_root.json of your Sigstore instance; `cosign trusted-root create` creates one",
    });
  }
  return { kind: "identity", identity, identityRegexp, issuer, issuerRegexp, trustedRoot };
}

function oneOf(flag: string, exact: string | undefined, regexp: string | undefined): void {
  if ((exact === undefined) !== (regexp === undefined)) return;
  throw new OcibundleError(
    "usage",
    exact === undefined
      ? `${flag} is missing`
      : `${flag} and ${flag}-regexp cannot be used together`,
    { hint: "specify the identity and its issuer: another issuer can certify the same name" },
  );
}

function pattern(flag: string, source: string | undefined): string | undefined {
  if (source === undefined) return undefined;
  if (source === "") {
    throw new OcibundleError("usage", `${flag} is empty and would match any identity`, {
      hint: "specify the identity, or a pattern that matches all of it",
    });
  }
  try {
    return new RegExp(source, "u").source;
  } catch {
    throw new OcibundleError("usage", `${flag}: "${source}" is not a regular expression`, {
      hint: "correct the expression; escape special characters with \\",
    });
  }
}

/**
 * The signer that `--require-signature` names: a key, or an identity where an issuer is given. Undefined where it is
 * left to the configuration. Throws `usage`.
 */
export function requiredSigner({
  requireSignature: name,
  certificateOidcIssuer,
  trustedRoot,
}: {
  requireSignature: string | undefined;
  certificateOidcIssuer: string | undefined;
  trustedRoot: string | undefined;
}): VerifySettings | undefined {
  const flags = { certificateOidcIssuer, trustedRoot };
  const other = givenSignerFlag(flags);
  if (name === undefined) {
    if (other === undefined) return undefined;
    throw new OcibundleError("usage", `${other} needs --require-signature`, {
      hint: "add --require-signature with the required identity",
    });
  }
  if (other === undefined && /^[^/\s]+@[^/\s]+$|^(?:https?|spiffe):\/\//.test(name)) {
    throw new OcibundleError("usage", `--require-signature: "${name}" is an identity, not a key`, {
      hint: "add --certificate-oidc-issuer and --trusted-root",
    });
  }
  const signer = signerOf(
    other === undefined ? { key: name } : { certificateIdentity: name, ...flags },
  );
  return signer === undefined ? undefined : [signer];
}
