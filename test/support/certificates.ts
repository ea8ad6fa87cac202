import { join } from "node:path";

export interface TestCertificate {
  /** PEM files. */
  cert: string;
  key: string;
}

/** Makes an authority and a certificate of it for this machine and `registry.test`, below a directory of the caller's. */
export async function makeCertificate(
  directory: string,
): Promise<TestCertificate & { authority: string }> {
  const authority = join(directory, "ca.pem");
  const authorityKey = join(directory, "ca.key");
  const cert = join(directory, "cert.pem");
  const key = join(directory, "key.pem");
  const fresh = ["-newkey", "rsa:2048", "-nodes", "-days", "2"];
  await openssl([
    "req",
    "-x509",
    ...fresh,
    "-subj",
    "/CN=test authority",
    "-keyout",
    authorityKey,
    "-out",
    authority,
  ]);
  await openssl([
    "req",
    "-x509",
    ...fresh,
    "-subj",
    "/CN=test",
    "-keyout",
    key,
    "-out",
    cert,
    "-CA",
    authority,
    "-CAkey",
    authorityKey,
    "-addext",
    "subjectAltName=IP:127.0.0.1,IP:::1,DNS:localhost,DNS:registry.test",
    "-addext",
    "basicConstraints=critical,CA:FALSE",
  ]);
  return { authority, cert, key };
}

async function openssl(args: readonly string[]): Promise<void> {
  const child = Bun.spawn(["openssl", ...args], { stdout: "ignore", stderr: "pipe" });
  const said = await new Response(child.stderr).text();
  if ((await child.exited) !== 0) throw new Error(said);
}
