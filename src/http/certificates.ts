import { createPrivateKey, X509Certificate } from "node:crypto";
import { existsSync } from "node:fs";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { errno, OcibundleError } from "../errors.ts";
import type { ConnectionOptions } from "../runtime/types.ts";
import type { Environment } from "./proxy.ts";

export interface CertificateOptions {
  /** PEM file with authorities to trust besides the system's. */
  caFile?: string | undefined;
  /** PEM file with this client's certificate. */
  certFile?: string | undefined;
  /** PEM file with the key of it. */
  keyFile?: string | undefined;
  /** Leaves out the check of certificates. */
  insecure?: boolean | undefined;
  /** Folders with `*.crt` (authorities), `*.cert` and `*.key` (the client's own); the first there counts. */
  certificateFolders?: readonly string[] | undefined;
}

/**
 * Where Docker looks for the certificates of a registry (docs.docker.com, "Verify repository client
 * with certificates"): for the machine, then for the user alone.
 */
export function dockerCertificateFolders(host: string, env: Environment): string[] {
  const config = env["XDG_CONFIG_HOME"];
  const home = env["HOME"];
  const own =
    config !== undefined && config !== ""
      ? config
      : home === undefined || home === ""
        ? undefined
        : join(home, ".config");
  return ["/etc/docker", ...(own === undefined ? [] : [join(own, "docker")])].map((folder) =>
    join(folder, "certs.d", host),
  );
}

/** Whether Docker's folders have anything for a registry, which means that it speaks TLS. */
export const hasDockerCertificates = (host: string, env: Environment): boolean =>
  dockerCertificateFolders(host, env).some((folder) => existsSync(folder));

type Tls = ConnectionOptions["tls"];

/**
 * What TLS connections are made with, by origin: read once, when the first is made. The client's own
 * certificate is shown to the registry only, not to where it redirects. Throws `file`, `usage`.
 */
export function certificates(
  options: CertificateOptions,
  registryOrigin: string,
): (origin: string) => Promise<Tls> {
  let read: Promise<NonNullable<Tls>> | undefined;
  return async (origin) => {
    read ??= readCertificates(options);
    const { ca, cert, key, insecure } = await read;
    const own = origin === registryOrigin;
    const tls: NonNullable<Tls> = {
      ...(ca === undefined ? {} : { ca }),
      ...(insecure === true ? { insecure } : {}),
      ...(own && cert !== undefined && key !== undefined ? { cert, key } : {}),
    };
    return Object.keys(tls).length === 0 ? undefined : tls;
  };
}

async function readCertificates(options: CertificateOptions): Promise<NonNullable<Tls>> {
  const { caFile, certFile, keyFile, insecure } = options;
  if ((certFile === undefined) !== (keyFile === undefined)) {
    throw new OcibundleError(
      "usage",
      "A client certificate needs its key, and a key its certificate",
      {
        hint: "give both --cert-file and --key-file",
      },
    );
  }
  const found = await findFiles(options.certificateFolders ?? []);
  const authorities = [...(caFile === undefined ? [] : [caFile]), ...found.authorities];
  const own = certFile === undefined || keyFile === undefined ? found.own : { certFile, keyFile };
  const ca = await Promise.all(authorities.map((path) => readPem(path, "CERTIFICATE")));
  return {
    ...(ca.length === 0 ? {} : { ca: ca.join("\n") }),
    ...(own === undefined ? {} : await readPair(own)),
    ...(insecure === true ? { insecure } : {}),
  };
}

interface FoundFiles {
  authorities: string[];
  own?: { certFile: string; keyFile: string };
}

/** What the first of the folders that is there holds. */
async function findFiles(folders: readonly string[]): Promise<FoundFiles> {
  for (const folder of folders) {
    let names: string[];
    try {
      names = (await readdir(folder)).toSorted();
    } catch (cause) {
      if (errno(cause) === "ENOENT" || errno(cause) === "ENOTDIR") continue;
      throw new OcibundleError("file", `"${folder}" can't be read`, { cause });
    }
    const cert = names.find((name) => name.endsWith(".cert"));
    const key = cert?.replace(/\.cert$/, ".key");
    if (cert !== undefined && key !== undefined && !names.includes(key)) {
      throw new OcibundleError("file", `"${join(folder, cert)}" has no key beside it`, {
        hint: `put the key there as "${key}"`,
      });
    }
    return {
      authorities: names.filter((name) => name.endsWith(".crt")).map((name) => join(folder, name)),
      ...(cert === undefined || key === undefined
        ? {}
        : { own: { certFile: join(folder, cert), keyFile: join(folder, key) } }),
    };
  }
  return { authorities: [] };
}

/** A client's certificate and its key; one that is not the other's would only fail to connect. */
async function readPair({
  certFile,
  keyFile,
}: {
  certFile: string;
  keyFile: string;
}): Promise<{ cert: string; key: string }> {
  const cert = await readPem(certFile, "CERTIFICATE");
  const key = await readPem(keyFile, "KEY");
  let fits: boolean;
  try {
    fits = new X509Certificate(cert).checkPrivateKey(createPrivateKey(key));
  } catch (cause) {
    throw new OcibundleError("file", `"${certFile}" and "${keyFile}" can't be used together`, {
      hint: "neither may be damaged, and the key may not be encrypted with a password",
      cause,
    });
  }
  if (fits) return { cert, key };
  throw new OcibundleError("file", `"${keyFile}" is not the key of "${certFile}"`, {
    hint: "give the certificate and the key that were made for each other",
  });
}

async function readPem(path: string, holds: "CERTIFICATE" | "KEY"): Promise<string> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (cause) {
    throw new OcibundleError("file", `"${path}" can't be read`, { cause });
  }
  if (!new RegExp(`-----BEGIN [A-Z ]*${holds}-----`).test(text)) {
    throw new OcibundleError("file", `"${path}" holds no ${holds.toLowerCase()} in PEM form`);
  }
  return text;
}
