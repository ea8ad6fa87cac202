import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { OcibundleError } from "../../src/errors.ts";
import { isDigest } from "../../src/oci/digest.ts";
import {
  formatReference,
  parseReference,
  type Reference,
  referenceTarget,
} from "../../src/oci/reference.ts";
import { runs } from "../support/property-runs.ts";

/** What a reference may be made of, and what it may not. */
const referenceLike = fc
  .array(
    fc.oneof(
      fc.constantFrom("acme", "llama", "a.b", "localhost", "docker.io", "index.docker.io", "LLAMA"),
      fc.constantFrom("/", ":", "@", ".", "_", "__", "-", "..", "//", "://", "\n", " ", "[::1]"),
      fc.constantFrom("5000", "65536", "v1", "sha256:", `sha256:${"0".repeat(64)}`),
      fc.string({ unit: "binary", maxLength: 3 }),
    ),
    { maxLength: 9 },
  )
  .map((parts) => parts.join(""));

const host = fc.oneof(
  fc.stringMatching(/^[a-z0-9]{1,6}(-[a-z0-9]{1,3})?(\.[a-z]{2,4}){1,2}(:[1-9][0-9]{0,3})?$/),
  fc.constantFrom("localhost", "localhost:5000", "[::1]:5000", "[2001:db8::1]", "Registry:443"),
);
const repository = fc.stringMatching(
  /^[a-z0-9]{1,5}((\.|_|__|-{1,3})[a-z0-9]{1,4})?(\/[a-z0-9]{1,5}){1,3}$/,
);
const tag = fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/);
const digest = fc.stringMatching(/^[0-9a-f]{64}$/).map((hex) => `sha256:${hex}`);

function expectSound(reference: Reference): void {
  expect(reference.host).toMatch(/^[A-Za-z0-9.:[\]-]+$/);
  expect(reference.repository).toMatch(/^[a-z0-9]+(?:[._/-]+[a-z0-9]+)*$/);
  expect(reference.repository).not.toMatch(
    /___|[.]{2}|[/]{2}|[._-]\/|\/[._-]|[.][_-]|[_-][.]|_-|-_/,
  );
  if (reference.tag !== undefined) expect(reference.tag).toMatch(/^\w[\w.-]{0,127}$/);
  if (reference.digest !== undefined) expect(isDigest(reference.digest)).toBe(true);
  expect(reference.tag ?? reference.digest).toBeDefined();
}

describe("a reference", () => {
  test("of any text is read, each part by its grammar, or refused as a usage error", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: "binary" }), referenceLike), (text) => {
        let reference: Reference;
        try {
          reference = parseReference(text);
        } catch (error) {
          expect(error).toBeInstanceOf(OcibundleError);
          expect((error as OcibundleError).code).toBe("usage");
          return;
        }
        expectSound(reference);
        expect(parseReference(formatReference(reference))).toEqual(reference);
      }),
      runs,
    );
  });

  test("is read as the parts it was put together from, and a digest counts before a tag", () => {
    fc.assert(
      fc.property(host, repository, fc.option(tag), fc.option(digest), (at, name, label, hash) => {
        const text = `${at}/${name}${label === null ? "" : `:${label}`}${hash === null ? "" : `@${hash}`}`;
        const reference = parseReference(text);
        const said = label ?? (hash === null ? "latest" : undefined);
        expect(reference).toEqual({
          host: at.toLowerCase(),
          repository: name,
          ...(said === undefined ? {} : { tag: said }),
          ...(hash === null ? {} : { digest: hash }),
        } as Reference);
        expect(referenceTarget(reference)).toBe(hash ?? said ?? "");
      }),
      runs,
    );
  });

  test("has the same host however its letters are written, unless they tell it from a path", () => {
    for (const text of ["localhost:5000", "localhost", "ghcr.io", "[::a]:5000", "docker.io"]) {
      const [lower, upper] = [text, text.toUpperCase()].map((at) => parseReference(`${at}/a/b:v1`));
      expect(upper).toEqual(lower as Reference);
    }
    expect(parseReference("INDEX.DOCKER.IO/a").host).toBe("docker.io");
    expect(parseReference("MyHost/a/b").host).toBe("MyHost");
  });

  test("without a host is one of Docker Hub's, below library/ where it has one part", () => {
    const single = fc.stringMatching(/^[a-z0-9]{1,8}$/).filter((name) => name !== "localhost");
    fc.assert(
      fc.property(single, fc.option(single), (first, second) => {
        const name = second === null ? first : `${first}/${second}`;
        const expected = second === null ? `library/${first}` : name;
        for (const prefix of ["", "docker.io/", "index.docker.io/"]) {
          const { host: at, repository: below } = parseReference(`${prefix}${name}:v1`);
          expect([at, below]).toEqual(["docker.io", expected]);
        }
      }),
      runs,
    );
  });
});
