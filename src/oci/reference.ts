import { OcibundleError } from "../errors.ts";
import { type Digest, isDigest } from "./digest.ts";

/**
 * A reference to something on a registry: `[host[:port]/]path[:tag][@digest]`.
 * Grammar: github.com/distribution/reference; defaults as Docker has them.
 */
export interface Reference {
  /** The registry's host with its port, `docker.io`, `[::1]:5000`; in lower case, unless it would be no host then. */
  host: string;
  /** The path below the host, without a slash at either end. */
  repository: string;
  /** Absent when only a digest was given. */
  tag?: string;
  digest?: Digest;
}

/** The registry of a name without a host, as in Docker. */
export const defaultHost = "docker.io";
const defaultTag = "latest";

// The pieces of the grammar, named as distribution/reference names them.
const alphanumeric = "[a-z0-9]+";
const separator = "(?:[._]|__|[-]+)";
const pathComponent = `${alphanumeric}(?:${separator}${alphanumeric})*`;
const remoteName = `${pathComponent}(?:/${pathComponent})*`;
const domainNameComponent = "(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])";
const domainName = `${domainNameComponent}(?:[.]${domainNameComponent})*`;
const ipv6 = "\\[(?:[a-fA-F0-9:]+)\\]";
const domain = `(?:${domainName}|${ipv6})(?::[0-9]{1,5})?`;
const tagName = "[\\w][\\w.-]{0,127}";

const domainPattern = new RegExp(`^${domain}$`);
const repositoryPattern = new RegExp(`^${remoteName}$`);
const tagPattern = new RegExp(`^${tagName}$`);

const maxNameLength = 255;

/** Whether a text is the name of a repository in the syntax of the distribution specification. */
export const isRepositoryName = (text: string): boolean =>
  text.length <= maxNameLength && repositoryPattern.test(text);

/** Whether a text is a tag in the syntax of the distribution specification: at most 128 characters. */
export const isTag = (text: string): boolean => tagPattern.test(text);

const isHost = (text: string): boolean => {
  const port = /:(\d+)$/.exec(text)?.[1];
  return domainPattern.test(text) && (port === undefined || Number(port) <= 65535);
};

/** Whether there is a login in front of the host: USER:PASSWORD@HOST. Behind the @ of a reference is a digest. */
function holdsLogin(text: string): boolean {
  const at = text.lastIndexOf("@");
  if (isDigest(text.slice(at + 1))) return false;
  const colon = text.indexOf(":");
  const slash = text.indexOf("/");
  if (colon === -1 || colon > at || (slash !== -1 && slash < colon)) return false;
  return /^(?!sha\d+:)(?:localhost$|[^/@]*[./]|[^/:@]+:\d{1,5}(?:\/|$))/.test(text.slice(at + 1));
}

/** Whether the first part of a reference is a host whatever the case of its letters, which is lower. */
const isNamedHost = (text: string): boolean => /[.:[]/.test(text) || text === "localhost";

/** Reads a reference. Throws `usage`, naming the part that is wrong and the rule it breaks. */
export function parseReference(text: string): Reference {
  const fail = (why: string, hint: string): never => {
    throw new OcibundleError("usage", `"${text}" is not a reference: ${why}`, { hint });
  };
  if (text === "") fail("it is empty", "a reference looks like registry.example.com/acme/llama:v1");
  if (text.includes("://")) {
    const scheme = text.slice(0, text.indexOf("://")).toLowerCase();
    if (scheme === "http" || scheme === "https") {
      fail("it has a scheme", "remove http:// or https://; use --plain-http for HTTP");
    }
    fail(
      `it has a scheme, ${scheme}://, that is not supported`,
      ["hf", "huggingface", "s3", "gs"].includes(scheme)
        ? "download the files first, run `ocibundle lock` on their directory, then push"
        : "write it as registry.example.com/name:tag",
    );
  }

  if (holdsLogin(text)) {
    throw new OcibundleError("usage", "a reference cannot contain a username and password", {
      hint: "log in with `ocibundle login HOST`, and remove the part before the @",
    });
  }

  let rest = text;
  let digest: Digest | undefined;
  const at = rest.indexOf("@");
  if (at !== -1) {
    const digestText = rest.slice(at + 1);
    rest = rest.slice(0, at);
    if (isDigest(digestText)) digest = digestText;
    else {
      fail(`"${digestText}" is not a digest`, 'a digest is "sha256:" and 64 lower-case hex digits');
    }
  }

  let host = defaultHost;
  const slash = rest.indexOf("/");
  const first = slash === -1 ? "" : rest.slice(0, slash);
  // A first part is a host when it could not be one of a path: Docker's rule.
  if (first !== "" && (isNamedHost(first) || first !== first.toLowerCase())) {
    if (!isHost(first))
      fail(`"${first}" is not a host`, "a host is name[:port], such as localhost:5000");
    const lower = first.toLowerCase();
    // A name that only its upper case tells from a path keeps it.
    host = isNamedHost(lower) ? lower : first;
    rest = rest.slice(slash + 1);
  }

  let tag: string | undefined;
  const colon = rest.lastIndexOf(":");
  if (colon > rest.lastIndexOf("/")) {
    tag = rest.slice(colon + 1);
    rest = rest.slice(0, colon);
    if (!isTag(tag)) {
      fail(
        `"${tag}" is not a tag`,
        "a tag has at most 128 letters, digits, _ . and -, and does not start with . or -",
      );
    }
  }

  // As a name of Docker Hub's it would be asked for far from where it was meant.
  if (slash === -1 && /^(?:localhost|\d+(?:\.\d+){3})$/.test(rest) && !/\D/.test(tag ?? "")) {
    fail("it has a host but no repository", `write ${text}/acme/llama:v1`);
  }

  if (host === "index.docker.io") host = defaultHost;
  if (host === defaultHost && !rest.includes("/")) rest = `library/${rest}`;
  if (rest.length > maxNameLength)
    fail(`the name is over ${maxNameLength} characters`, "shorten it");
  if (!repositoryPattern.test(rest)) {
    fail(
      `"${rest}" is not a repository name`,
      rest === rest.toLowerCase()
        ? "components have lower-case letters and digits, separated by . _ __ or -"
        : `repository names are lower case: ${rest.toLowerCase()}`,
    );
  }

  if (tag === undefined && digest === undefined) tag = defaultTag;
  return {
    host,
    repository: rest,
    ...(tag === undefined ? {} : { tag }),
    ...(digest === undefined ? {} : { digest }),
  };
}

/** `host/repository`, as in messages and credential look-ups. */
export const formatRepository = (reference: Pick<Reference, "host" | "repository">): string =>
  `${reference.host}/${reference.repository}`;

/** The whole reference with its defaults written out. */
export const formatReference = (reference: Reference): string =>
  formatRepository(reference) +
  (reference.tag === undefined ? "" : `:${reference.tag}`) +
  (reference.digest === undefined ? "" : `@${reference.digest}`);

/** What to ask a registry for: the digest when there is one, else the tag. */
export const referenceTarget = (reference: Reference): string =>
  reference.digest ?? reference.tag ?? defaultTag;

/** A reference to one digest, whatever its tag comes to mean: `registry.example.com/acme/llama@sha256:…`. */
export const pinned = (reference: Reference, digest: Digest): string =>
  `${formatRepository(reference)}@${digest}`;
