import { describe, expect, test } from "bun:test";
import { tokenUrl } from "../../../../src/harness/misbehave/upstream/upstream-client.ts";

const https = new URL("https://registry.example.com");
const http = new URL("http://registry.test:5000");
const challenge = (realm: string): string =>
  `Bearer realm="${realm}",service="s",scope="repository:a/b:pull"`;

describe("upstream's token server", () => {
  test("is asked for what the challenge names", () => {
    const url = tokenUrl(challenge("https://auth.example.com/token"), https);
    expect(url?.href).toBe(
      "https://auth.example.com/token?service=s&scope=repository%3Aa%2Fb%3Apull",
    );
  });

  test("may be plain where upstream is, and encrypted anywhere", () => {
    expect(tokenUrl(challenge("http://auth.test/token"), http)?.protocol).toBe("http:");
    expect(tokenUrl(challenge("https://auth.test/token"), http)?.protocol).toBe("https:");
  });

  test.each(["http://auth.example.com/token", "file:///etc/passwd"])(
    "is not shown the password over a less safe way than upstream: %s",
    (realm) => {
      expect(() => tokenUrl(challenge(realm), https)).toThrow("does not use HTTPS");
    },
  );

  test.each([null, "", 'Basic realm="x"', 'Bearer realm="not a URL"', "Bearer"])(
    "is not made up out of the challenge %p",
    (header) => expect(tokenUrl(header, https)).toBeUndefined(),
  );
});
