import { readFile } from "node:fs/promises";
import { OcibundleError } from "../errors.ts";
import type { ConnectionOptions } from "../runtime/types.ts";

export interface CertificateOptions {
  /** PEM file with authorities to trust besides the system's. */
  caFile?: string | undefined;
  /** PEM file with this client's certificate. */
  certFile?: string | undefined;
  /** PEM file with the key of it. */
  keyFile?: string | undefined;
  /** Leaves out the check of certificates. */
  insecure?: boolean | undefined;
}

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
      "A client certificate needs its key and a key its certificate",
      {
        hint: "give both --cert-file and --key-file",
      },
    );
  }
  return {
    ...(caFile === undefined ? {} : { ca: await readPem(caFile, "CERTIFICATE") }),
    ...(certFile === undefined ? {} : { cert: await readPem(certFile, "CERTIFICATE") }),
    ...(keyFile === undefined ? {} : { key: await readPem(keyFile, "KEY") }),
    ...(insecure === true ? { insecure } : {}),
  };
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
