import { describe, expect, test } from "bun:test";
import { redact } from "../../../src/cli/redact.ts";

const jwt = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhIn0.c2lnbmF0dXJl";

describe("secrets", () => {
  test.each([
    ["https://user:hunter2@host/v2/", "https://***@host/v2/"],
    ["http://hunter2@host:5000", "http://***@host:5000"],
    ["proxy http://a:hunter2@b@proxy:3128/", "proxy http://***@proxy:3128/"],
    [
      'GET "https://s3.example.com/blob?X-Amz-Signature=hunter2&X-Amz-Date=x" failed',
      'GET "https://s3.example.com/blob?X-Amz-Signature=***&X-Amz-Date=***" failed',
    ],
    ["/v2/a/blobs/uploads/1?_state=hunter2", "/v2/a/blobs/uploads/1?_state=***"],
    ["Authorization: Bearer hunter2", "Authorization: ***"],
    ["authorization: Basic dTpw", "authorization: ***"],
    ["Set-Cookie: session=hunter2; Path=/", "Set-Cookie: ***"],
    ["sent Basic dXNlcjpwYXNz to it", "sent Basic *** to it"],
    [`sent Bearer ${jwt} to it`, "sent Bearer *** to it"],
    [`body ${jwt}.`, "body ***."],
    [
      '{"access_token": "hunter2", "expires_in": 300}',
      '{"access_token": "***", "expires_in": 300}',
    ],
    ['{"auth":"aHVudGVyMg==","identitytoken":"hunter2"}', '{"auth":"***","identitytoken":"***"}'],
    [
      "grant_type=refresh_token&refresh_token=hunter2",
      "grant_type=refresh_token&refresh_token=***",
    ],
    [
      '"ada:hunter2@localhost:1/a/b:v1" is not a reference',
      '"ada:***@localhost:1/a/b:v1" is not a reference',
    ],
    ["docker://ada:hunter2@h.test/a", "docker://***@h.test/a"],
    ["docker:ada:hunter2@h.test/a", "docker:ada:***@h.test/a"],
    ["ada:hunt@er2@myhost", "ada:***@myhost"],
    ["ada:hun/ter2@registry.test/a", "ada:***@registry.test/a"],
    ["registries.ada:hunter2@m.test: is not a host", "registries.ada:***@m.test: is not a host"],
    ["password=hunter2, next", "password=***, next"],
    ["ghp_0123456789abcdefghij", "***"],
    ["AKIAIOSFODNN7EXAMPLE", "***"],
  ])("%s", (text, shown) => {
    expect(redact(text)).toBe(shown);
  });

  test.each([
    'push registry.example.com/acme/llama:v1: the registry refused the blob sha256:3f9c of weight "llama-3.1-8b": DIGEST_INVALID',
    "POST /v2/a/blobs/uploads/?mount=sha256:abc&from=library/b",
    "PUT /v2/a/blobs/uploads/1?digest=sha256:abc",
    'Bearer realm="https://auth.example.com/token",service="registry",scope="repository:a:pull"',
    "Basic authentication is not offered",
    "the token expired; run `ocibundle login ghcr.io`",
    "--file NAME=PATH",
    "user@example.com",
    "registry.example.com/a@sha256:abc",
    "registry.example.com:5000/a/b:v1@sha256:abc",
    "acme/llama:v1@sha512:0123456789abcdef0123456789abcdef",
    "localhost:5000/a:v1@sha256:abc,localhost:5000/b:v1@sha256:def",
    "oci:models@v2",
    "oci:/data/models@main:v1",
    "C:\\Users\\ada@work",
    "set HTTPS_PROXY to http://USER:PASSWORD@HOST:PORT",
    "error: user@example.com",
  ])("nothing of this is one: %s", (text) => {
    expect(redact(text)).toBe(text);
  });

  test.each([
    "a.",
    "://",
    "?a",
    "&a=",
    "eyJ-",
    "token ",
    'token="',
    "Bearer ",
    "Bearer\t",
    "@:",
    "ghp_",
  ])("a text full of %j takes no time", (piece) => {
    const began = performance.now();
    redact(piece.repeat(100_000));
    expect(performance.now() - began).toBeLessThan(1000);
  });
});
