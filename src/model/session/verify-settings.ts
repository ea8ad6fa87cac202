import { dirname, resolve } from "node:path";
import * as v from "valibot";
import { isRepositoryName } from "../../oci/reference.ts";

/** Who must have signed: the holder of a key, or of a certificate for an identity. Paths are absolute. */
export type SignerSettings =
  | { kind: "key"; key: string }
  | {
      kind: "identity";
      /** One of each pair is set. */
      identity?: string | undefined;
      identityRegexp?: string | undefined;
      issuer?: string | undefined;
      issuerRegexp?: string | undefined;
      trustedRoot: string;
    };

/** Any one of them is enough; none: nothing need be signed. */
export type VerifySettings = readonly SignerSettings[];

const text = (what: string) =>
  v.optional(v.pipe(v.string(`must be ${what}`), v.minLength(1, "must not be empty")));

const isPattern = (source: string): boolean => {
  try {
    return new RegExp(source, "u") instanceof RegExp;
  } catch {
    return false;
  }
};

const patternText = v.optional(
  // An empty pattern would match everybody.
  v.pipe(
    v.string("must be a pattern"),
    v.minLength(1, "must not be empty"),
    v.check(isPattern, "is not a regular expression"),
  ),
);

const unknown = (issue: { expected: string | null }): string =>
  issue.expected === "never" ? "is not known" : "must be a mapping";

const SignerSchema = v.pipe(
  v.strictObject(
    {
      key: text("a path or env://NAME"),
      identity: text("an identity"),
      identityRegexp: patternText,
      issuer: text("a URL"),
      issuerRegexp: patternText,
      trustedRoot: text("a path"),
    },
    unknown,
  ),
  v.rawTransform(({ dataset, addIssue, NEVER }): SignerSettings => {
    const { key, ...rest } = dataset.value;
    const { identity, identityRegexp, issuer, issuerRegexp, trustedRoot } = rest;
    const others = Object.values(rest).filter((value) => value !== undefined);
    if (key !== undefined && others.length === 0) return { kind: "key", key };
    const fail = (message: string) => {
      addIssue({ message });
      return NEVER;
    };
    if (key !== undefined) return fail("needs either a key or an identity");
    if (others.length === 0) return fail("needs a key or an identity");
    if ((identity === undefined) === (identityRegexp === undefined)) {
      return fail("needs one of identity and identityRegexp");
    }
    if ((issuer === undefined) === (issuerRegexp === undefined)) {
      return fail("needs one of issuer and issuerRegexp");
    }
    if (trustedRoot === undefined) return fail("needs a trustedRoot for an identity");
    return { kind: "identity", ...rest, trustedRoot };
  }),
);

/** `false`, one signer, or a list of them, any of which is enough. */
export const VerifySchema = v.lazy((input) => {
  if (input === false) {
    return v.pipe(
      v.literal(false),
      v.transform((): VerifySettings => []),
    );
  }
  return Array.isArray(input)
    ? v.pipe(
        v.array(SignerSchema),
        v.minLength(1, "must have an entry; use false to disable verification"),
      )
    : v.pipe(
        SignerSchema,
        v.transform((signer): VerifySettings => [signer]),
      );
});

/** A repository, or `PREFIX/*` for all below a path. */
export const RepositoryPatternSchema = v.pipe(
  v.string(),
  v.check(
    (pattern) => isRepositoryName(pattern.replace(/\/\*$/, "")),
    'is not a repository such as acme/llama, or "acme/*" for all below acme',
  ),
);

/** The same with paths that start where the configuration is. */
export const resolved = (settings: VerifySettings, config: string): VerifySettings =>
  settings.map((signer) =>
    signer.kind === "key"
      ? { kind: "key", key: fileAt(config, signer.key) }
      : { ...signer, trustedRoot: fileAt(config, signer.trustedRoot) },
  );

const fileAt = (config: string, name: string): string =>
  name.includes("://") ? name : resolve(dirname(config), name);

/** What is set for a repository by the longest pattern that it matches, or undefined. */
export function settingsOfRepository<T>(
  patterns: ReadonlyMap<string, T>,
  repository: string,
): T | undefined {
  const exact = patterns.get(repository);
  if (exact !== undefined) return exact;
  const matching = [...patterns.keys()].filter(
    (pattern) => pattern.endsWith("/*") && repository.startsWith(pattern.slice(0, -1)),
  );
  const [longest] = matching.toSorted((a, b) => b.length - a.length);
  return longest === undefined ? undefined : patterns.get(longest);
}
