import { createPrivateKey, X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { OcibundleError } from "../errors.ts";
import { readDocument } from "../runtime/read-document.ts";
import type { ConnectionOptions } from "../runtime/types.ts";
import type { Environment } from "./proxy.ts";
import {
  brokenWarning,
  maxCertificateBytes,
  readCertificates,
  systemAuthorities,
} from "./system-certificates.ts";
import { isMissing, readingCode, unreadableBecause } from "../runtime/file-faults.ts";

/** Whom to trust and who to be over TLS. A file that was named must be there; directories need not. */
export interface CertificateOptions {
  /** PEM file with authorities to trust besides the system's. */
  caFile?: string | undefined;
  /** PEM file with this client's certificate. */
  certFile?: string | undefined;
  /** PEM file with the key of it. */
  keyFile?: string | undefined;
  /** Leaves out the check of certificates. */
  insecure?: boolean | undefined;
  /** Directories with `*.crt` (authorities), `*.cert` and `*.key` (the client's own); the first there counts. */
  certificateDirectories?: readonly string[] | undefined;
}

/**
 * Where Docker looks for the certificates of a registry (docs.docker.com, "Verify repository client
 * with certificates"): for the machine, then for the user alone; then where Podman does
 * (containers-certs.d(5)), for the user alone first.
 */
export function certificateDirectoriesOf(host: string, env: Environment): string[] {
  const config = env["XDG_CONFIG_HOME"];
  const home = env["HOME"];
  const own =
    config !== undefined && config !== ""
      ? config
      : home === undefined || home === ""
        ? undefined
        : join(home, ".config");
  const ofUser = (name: string): string[] => (own === undefined ? [] : [join(own, name)]);
  return ["/etc/docker", ...ofUser("docker"), ...ofUser("containers"), "/etc/containers"].map(
    (directory) => join(directory, "certs.d", host),
  );
}

/** Whether Docker's directories have anything for a registry, which means that it speaks TLS. */
export const hasDockerCertificates = (host: string, env: Environment): boolean =>
  certificateDirectoriesOf(host, env).some((directory) => existsSync(directory));

type Tls = NonNullable<ConnectionOptions["tls"]>;

/** What reading certificates needs of the run. */
export interface Trust {
  env: Environment;
  /** Told what was passed over. */
  warn(message: string): void;
}

/**
 * What TLS connections are made with, by origin: read once, when the first is made. The client's own
 * certificate is shown to the registry only, not to where it redirects; and where a login goes
 * (`carriesLogin`) certificates are checked on every other host, whatever `insecure` says. Throws `file`,
 * `system`, `usage`.
 */
export function certificates(
  options: CertificateOptions,
  registryUrl: URL,
  trust: Trust,
): (url: URL, carriesLogin: boolean) => Promise<Tls> {
  let read: Promise<Tls> | undefined;
  return async (url, carriesLogin) => {
    read ??= readCertificateFiles(options, trust);
    const { ca, cert, key, insecure } = await read;
    const own = url.origin === registryUrl.origin;
    const unchecked = insecure === true && (!carriesLogin || url.hostname === registryUrl.hostname);
    return {
      ...(ca === undefined ? {} : { ca }),
      ...(unchecked ? { insecure } : {}),
      ...(own && cert !== undefined && key !== undefined ? { cert, key } : {}),
    };
  };
}

async function readCertificateFiles(options: CertificateOptions, trust: Trust): Promise<Tls> {
  const { caFile, certFile, keyFile, insecure } = options;
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new OcibundleError("usage", "--cert-file and --key-file must be used together", {
      hint: "add the missing flag",
    });
  }
  const found = await findFiles(options.certificateDirectories ?? [], trust);
  const named = caFile === undefined ? [] : await readAuthorities(caFile, true, trust);
  const beside = await Promise.all(
    found.authorities.map((path) => orWarn(trust, () => readAuthorities(path, false, trust), [])),
  );
  const ca = [...systemAuthorities(trust.env, trust.warn), ...named, ...beside.flat()];
  const pair =
    certFile !== undefined && keyFile !== undefined
      ? await readPair({ certFile, keyFile }, true)
      : await firstPair(found.own, trust);
  return {
    ...(ca.length === 0 ? {} : { ca }),
    ...pair,
    ...(insecure === true ? { insecure } : {}),
  };
}

/** What `work` gives; where files can't be used that nobody named, a warning and `otherwise`. */
async function orWarn<T>({ warn }: Trust, work: () => Promise<T>, otherwise: T): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof OcibundleError)) throw error;
    warn(`${error.message}; continuing without it`);
    return otherwise;
  }
}

/** The first pair that can be used. */
async function firstPair(
  pairs: readonly PairFiles[],
  trust: Trust,
): Promise<{ cert: string; key: string } | undefined> {
  for (const files of pairs) {
    const pair = await orWarn(trust, () => readPair(files, false), undefined);
    if (pair !== undefined) return pair;
  }
  return undefined;
}

interface PairFiles {
  certFile: string;
  keyFile: string;
}

interface FoundFiles {
  authorities: string[];
  own: PairFiles[];
}

/** What the first of the directories that is there and can be read holds. */
async function findFiles(directories: readonly string[], { warn }: Trust): Promise<FoundFiles> {
  for (const directory of directories) {
    let names: string[];
    try {
      names = (await readdir(directory)).toSorted();
    } catch (error) {
      if (!isMissing(error))
        warn(`"${directory}" ${unreadableBecause(error)}; continuing without it`);
      continue;
    }
    const authorities = names
      .filter((name) => name.endsWith(".crt"))
      .map((name) => join(directory, name));
    const own: PairFiles[] = [];
    for (const cert of names.filter((name) => name.endsWith(".cert"))) {
      const key = cert.replace(/\.cert$/, ".key");
      if (names.includes(key)) {
        own.push({ certFile: join(directory, cert), keyFile: join(directory, key) });
      } else {
        warn(`"${join(directory, cert)}" has no matching key "${key}"; continuing without it`);
      }
    }
    return { authorities, own };
  }
  return { authorities: [], own: [] };
}

/** A client's certificate and its key; one that is not the other's would only fail to connect. */
async function readPair(
  { certFile, keyFile }: PairFiles,
  isNamed: boolean,
): Promise<{ cert: string; key: string }> {
  const cert = await readPem(certFile, "CERTIFICATE", isNamed);
  const key = await readPem(keyFile, "KEY", isNamed);
  let fits: boolean;
  try {
    fits = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw new OcibundleError("file", `"${certFile}" and "${keyFile}" cannot be used together`, {
      hint: "check that neither is damaged, and that the key has no passphrase",
      cause,
    });
  }
  if (fits) return { cert, key };
  throw new OcibundleError("file", `"${keyFile}" is not the key of "${certFile}"`, {
    hint: "use the key that the certificate was issued for",
  });
}

/** The authorities in a file. Those that can't be read are told, as long as there are others. */
async function readAuthorities(path: string, isNamed: boolean, { warn }: Trust): Promise<string[]> {
  const text = await readPem(path, "CERTIFICATE", isNamed);
  const { certificates: authorities, broken } = readCertificates(text);
  if (authorities.length === 0) {
    throw new OcibundleError("file", `"${path}" contains no valid certificate`, {
      hint: "specify a file with certificates in PEM format",
    });
  }
  if (broken > 0) warn(brokenWarning(path, broken));
  return authorities;
}

async function readPem(
  path: string,
  holds: "CERTIFICATE" | "KEY",
  named: boolean,
): Promise<string> {
  let text: string;
  try {
    text = (await readDocument(path, { maxBytes: maxCertificateBytes, named })).toString("utf8");
  } catch (cause) {
    const code = readingCode(cause);
    throw new OcibundleError(code, `"${path}" ${unreadableBecause(cause)}`, { cause });
  }
  if (!new RegExp(`-----BEGIN [A-Z0-9 ]*${holds}-----`).test(text)) {
    throw new OcibundleError("file", `"${path}" contains no ${holds.toLowerCase()} in PEM format`, {
      hint: "specify a file in PEM format",
    });
  }
  return text;
}
