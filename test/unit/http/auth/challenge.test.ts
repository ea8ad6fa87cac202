import { expect, test } from "bun:test";
import { parseChallenges } from "../../../../src/http/auth/challenge.ts";

const read = (header: string): object[] =>
  parseChallenges(header).map(({ scheme, parameters }) => ({
    scheme,
    ...Object.fromEntries(parameters),
  }));

test("the challenge of a token server, as Docker Hub and GHCR write it", () => {
  expect(
    read(
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:library/alpine:pull"',
    ),
  ).toEqual([
    {
      scheme: "bearer",
      realm: "https://auth.docker.io/token",
      service: "registry.docker.io",
      scope: "repository:library/alpine:pull",
    },
  ]);
});

test("a comma within quotes is part of the value", () => {
  expect(read('Bearer realm="https://a/t",scope="repository:a:pull,push", error="x"')).toEqual([
    { scheme: "bearer", realm: "https://a/t", scope: "repository:a:pull,push", error: "x" },
  ]);
});

test("several challenges in one line are told apart", () => {
  expect(read('Negotiate, Basic realm="a b", Bearer realm="https://a/t", service=b')).toEqual([
    { scheme: "negotiate" },
    { scheme: "basic", realm: "a b" },
    { scheme: "bearer", realm: "https://a/t", service: "b" },
  ]);
});

test("a value of the scheme itself belongs to its scheme", () => {
  expect(read('Negotiate YWJj==, Basic realm="a"')).toEqual([
    { scheme: "negotiate" },
    { scheme: "basic", realm: "a" },
  ]);
});

test.each([
  ['BASIC Realm="x"', [{ scheme: "basic", realm: "x" }]],
  [
    "Bearer realm=https://a/t,service=s",
    [{ scheme: "bearer", realm: "https://a/t", service: "s" }],
  ],
  ['Bearer realm = "a" , service = "b"', [{ scheme: "bearer", realm: "a", service: "b" }]],
  ['Bearer realm="say \\"hi\\""', [{ scheme: "bearer", realm: 'say "hi"' }]],
  ['Bearer realm="a",realm="b"', [{ scheme: "bearer", realm: "a" }]],
  [", ,Basic realm=x,", [{ scheme: "basic", realm: "x" }]],
  ['Bearer realm="never ends', [{ scheme: "bearer" }]],
  ["", []],
  ["=", []],
  ['"Bearer"', []],
])("%p is read as far as it goes", (header, expected) => {
  expect(read(header)).toEqual(expected);
});
