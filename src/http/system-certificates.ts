import { X509Certificate } from "node:crypto";
import { type Dirent, readdirSync, readlinkSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { getCACertificates } from "node:tls";
import { readDocumentSync } from "../runtime/read-document.ts";
import type { Environment } from "./proxy.ts";
import { isMissing, unreadableBecause } from "../runtime/file-faults.ts";

/**
 * The authorities that the system trusts. Runtimes bring a list of their own and look into few of the places
 * where distributions, administrators and clusters put further ones; Go's programs look into all of these.
 */
const bundles = [
  // Debian, Ubuntu, Arch, distroless images.
  "/etc/ssl/certs/ca-certificates.crt",
  // Fedora, RHEL.
  "/etc/pki/tls/certs/ca-bundle.crt",
  "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
  "/etc/pki/tls/cacert.pem",
  // SUSE.
  "/etc/ssl/ca-bundle.pem",
  "/var/lib/ca-certificates/ca-bundle.pem",
  // Alpine, macOS, OpenBSD.
  "/etc/ssl/cert.pem",
  // FreeBSD.
  "/usr/local/etc/ssl/cert.pem",
  "/usr/local/share/certs/ca-root-nss.crt",
];
const directories = ["/etc/ssl/certs", "/etc/pki/tls/certs"];

/** A file of certificates that is larger is none, in bytes. */
export const maxCertificateBytes = 16 * 1024 * 1024;

const block = /-----BEGIN ((?:TRUSTED |X509 )?CERTIFICATE)-----[\s\S]*?-----END \1-----/g;

/** What tells one certificate from another: its base64. */
const bodyOf = (pem: string): string => pem.replaceAll(/-----[^-]*-----|\s/g, "");

/** The certificates in a PEM text, each by itself, and how many can't be read. Other things are passed over. */
export function readCertificates(
  text: string,
  known: ReadonlySet<string> = new Set(),
): { certificates: string[]; broken: number } {
  const certificates: string[] = [];
  let broken = 0;
  for (const [pem] of text.matchAll(block)) {
    // Of hundreds in a system's bundle most are the runtime's own, which need no check.
    if (known.has(bodyOf(pem))) continue;
    try {
      certificates.push(new X509Certificate(pem).toString());
    } catch {
      broken += 1;
    }
  }
  return { certificates, broken };
}

/** What is said of the broken ones in a file. */
export const brokenWarning = (path: string, broken: number): string =>
  `"${path}": ${broken === 1 ? "a certificate" : `${broken} certificates`} cannot be read; continuing without ${broken === 1 ? "it" : "them"}`;

const remembered = new Map<string, readonly string[]>();

/**
 * The system's authorities that the runtime does not trust by itself, as PEM texts: of every bundle and
 * directory that is there, or of `SSL_CERT_FILE` and `SSL_CERT_DIR` (a list with colons) in place of them,
 * as Go has it. Read once. What can't be read is told and passed over.
 */
export function systemAuthorities(
  env: Environment,
  warn: (message: string) => void,
): readonly string[] {
  const file = env["SSL_CERT_FILE"] ?? "";
  const directory = env["SSL_CERT_DIR"] ?? "";
  const key = JSON.stringify([file, directory]);
  const before = remembered.get(key);
  if (before !== undefined) return before;
  const own = new Set(getCACertificates("default").map(bodyOf));
  const found = new Map<string, string>();
  const read = (path: string, isNamed: boolean): void => {
    try {
      const text = readDocumentSync(path, { maxBytes: maxCertificateBytes }).toString("latin1");
      const { certificates, broken } = readCertificates(text, own);
      for (const pem of certificates) found.set(bodyOf(pem), pem);
      if (broken > 0) warn(brokenWarning(path, broken));
    } catch (error) {
      if (isNamed)
        warn(`SSL_CERT_FILE: "${path}" ${unreadableBecause(error)}; continuing without it`);
      else if (!isMissing(error))
        warn(`"${path}" ${unreadableBecause(error)}; continuing without it`);
    }
  };
  const paths = new Map<string, boolean>();
  if (file !== "") paths.set(file, true);
  else for (const path of bundles) addReal(paths, path);
  for (const path of directory === "" ? directories : directory.split(":")) {
    // Most of these are small and are in a bundle too: finding out takes longer than reading them.
    for (const entry of filesIn(path)) if (!paths.has(entry)) paths.set(entry, false);
  }
  for (const [path, isNamed] of paths) read(path, isNamed);
  const authorities = [...found.values()];
  remembered.set(key, authorities);
  return authorities;
}

/** Distributions give one file several names. */
function addReal(paths: Map<string, boolean>, path: string): void {
  try {
    const real = realpathSync(path);
    if (!paths.has(real)) paths.set(real, false);
  } catch {
    // Not on this system.
  }
}

/** What OpenSSL calls its links from hashes to files, most of which lie beside them. */
const hashName = /^[0-9a-f]{8}\.\d+$/;

/** The files of a directory, without links from hashes to files beside them. */
function filesIn(directory: string): string[] {
  const isAlias = (entry: Dirent): boolean =>
    entry.isSymbolicLink() &&
    hashName.test(entry.name) &&
    !readlinkSync(join(directory, entry.name)).includes("/");
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => (entry.isFile() || entry.isSymbolicLink()) && !isAlias(entry))
      .map(({ name }) => join(directory, name));
  } catch {
    // Missing, or another user's: the system's programs do without it too.
    return [];
  }
}
