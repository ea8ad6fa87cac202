import { describe, expect, test } from "bun:test";
import type { OcibundleError } from "../../../../src/errors.ts";
import { parseImageSource } from "../../../../src/image/source/source.ts";

const digest = `sha256:${"a".repeat(64)}` as const;

describe("a source", () => {
  test("is read as skopeo reads it", () => {
    expect(parseImageSource("oci:./layout")).toEqual({
      kind: "oci",
      path: "./layout",
      tag: undefined,
    });
    expect(parseImageSource("oci:dir:v1")).toEqual({ kind: "oci", path: "dir", tag: "v1" });
    expect(parseImageSource(`oci:a/dir@${digest}`)).toEqual({
      kind: "oci",
      path: "a/dir",
      tag: digest,
    });
    expect(parseImageSource(`oci:dir@sha256:v1`)).toEqual({
      kind: "oci",
      path: "dir@sha256",
      tag: "v1",
    });
    expect(parseImageSource("oci:dir:localhost/app:v1")).toEqual({
      kind: "oci",
      path: "dir",
      tag: "localhost/app:v1",
    });
    expect(parseImageSource("oci-archive:a.tar:v1")).toEqual({
      kind: "oci-archive",
      path: "a.tar",
      tag: "v1",
    });
    expect(parseImageSource("docker-archive:/tmp/a.tar")).toEqual({
      kind: "docker-archive",
      path: "/tmp/a.tar",
      reference: undefined,
    });
    expect(parseImageSource("docker-archive:a.tar:acme/app:dev")).toMatchObject({
      reference: { host: "docker.io", repository: "acme/app", tag: "dev" },
    });
    expect(parseImageSource("docker://localhost:5000/app")).toEqual({
      kind: "registry",
      reference: { host: "localhost:5000", repository: "app", tag: "latest" },
    });
    expect(parseImageSource("docker-daemon:llama:dev")).toMatchObject({
      kind: "engine",
      image: { name: "llama:dev", reference: { repository: "library/llama" } },
    });
    expect(parseImageSource(`docker-daemon:${digest}`)).toEqual({
      kind: "engine",
      image: { id: digest },
    });
  });

  test("may be a bare name or an ID", () => {
    expect(parseImageSource("llama:dev")).toMatchObject({
      kind: "anywhere",
      image: { name: "llama:dev", reference: { host: "docker.io", tag: "dev" } },
    });
    expect(parseImageSource("localhost:5000/llama")).toMatchObject({
      kind: "anywhere",
      image: { reference: { host: "localhost:5000" } },
    });
    expect(parseImageSource("docker:dind")).toMatchObject({
      kind: "anywhere",
      image: { reference: { repository: "library/docker", tag: "dind" } },
    });
    expect(parseImageSource(digest)).toEqual({ kind: "engine", image: { id: digest } });
  });

  test("may have the path of a drive", () => {
    expect(parseImageSource("oci:C:\\models\\llama:v1")).toEqual({
      kind: "oci",
      path: "C:\\models\\llama",
      tag: "v1",
    });
  });

  for (const [text, why] of [
    ["oci:", '"oci:": no value after the colon'],
    ["oci::v1", '"oci::v1": the path is missing'],
    ["oci:dir:", '"oci:dir:": no tag after the last colon'],
    ["docker://", '"docker://": no value after the colon'],
    ["docker-daemon:", '"docker-daemon:": no value after the colon'],
    ["docker-archive:a.tar:", '"docker-archive:a.tar:": no tag after the last colon'],
    ["dir:/tmp/x", '"dir:/tmp/x": "dir:" is not supported'],
    ["dir:x", '"dir:x": "dir:" is not supported'],
    [
      "hf://acme/model",
      '"hf://acme/model" is not a reference: it has a scheme, hf://, that is not supported',
    ],
    [
      "s3://bucket/x",
      '"s3://bucket/x" is not a reference: it has a scheme, s3://, that is not supported',
    ],
    ["file:weights.lock", '"file:weights.lock": "file:" is not supported'],
    ["ocidir:x:v1", '"ocidir:x:v1": "ocidir:" is not supported'],
    ["containers-storage:x", '"containers-storage:x": "containers-storage:" is not supported'],
    ["oci-layout:x", '"oci-layout:x": "oci-layout:" is not supported'],
    ["", '"" is not a reference: it is empty'],
    ["Upper/Case", '"Upper/Case" is not a reference: "Case" is not a repository name'],
    ["https://example.com/x", '"https://example.com/x" is not a reference: it has a scheme'],
  ] as const) {
    test(`"${text}" is refused`, () => {
      let error: unknown;
      try {
        parseImageSource(text);
      } catch (thrown) {
        error = thrown;
      }
      const { code, message, hint } = error as OcibundleError;
      expect({ code, message }).toEqual({ code: "usage", message: why });
      expect(hint).toBeString();
    });
  }
});
