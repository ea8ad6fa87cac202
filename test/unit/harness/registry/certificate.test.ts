import { describe, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { runtime } from "../../../../src/runtime/current.ts";
import { serveHttp } from "../../../../src/harness/registry/instance/http-server.ts";
import { makeCertificates } from "../../../../src/harness/registry/instance/certificate.ts";
import { afterwards } from "../../../support/afterwards.ts";

const handle = (request: Request): Promise<Response> =>
  Promise.resolve(new Response(new URL(request.url).protocol));

describe("a certificate made on the spot", () => {
  test("is taken by who trusts its authority, and by nobody else", async () => {
    const { ca, cert, key } = await makeCertificates();
    const server = await serveHttp({ hostname: "127.0.0.1", port: 0, handle, tls: { cert, key } });
    afterwards(() => server.stop());
    for (const host of ["127.0.0.1", "localhost"]) {
      const url = `https://${host}:${server.port}/`;
      const trusting = await fetch(url, runtime.connection({ tls: { ca: [ca] } }));
      expect(await trusting.text()).toBe("https:");
      await expect(fetch(url, runtime.connection({}))).rejects.toThrow();
    }
  });

  test("is of an authority that may sign nothing else, whose key is new each time", async () => {
    const [one, two] = [await makeCertificates(), await makeCertificates()];
    const authority = new X509Certificate(one.ca);
    const certificate = new X509Certificate(one.cert);
    expect(authority.ca).toBe(true);
    expect(certificate.ca).toBe(false);
    expect(certificate.verify(authority.publicKey)).toBe(true);
    expect(new X509Certificate(two.cert).verify(authority.publicKey)).toBe(false);
    expect(certificate.checkIP("127.0.0.1")).toBe("127.0.0.1");
  });
});
