import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { formatEntry } from "../../src/credentials/auth-entry.ts";
import { findEntry, findHelper, parseDockerConfig } from "../../src/credentials/docker-config.ts";
import { editMember } from "../../src/credentials/json-text.ts";
import { keysFor, normalizeKey } from "../../src/credentials/registry-key.ts";
import { OcibundleError } from "../../src/errors.ts";
import { runs } from "../support/property-runs.ts";

const host = "registry.example.com";

const typedOnly = (text: string): void => {
  try {
    const config = parseDockerConfig(text, "config.json");
    findEntry(config, host, "a/b", "config.json");
    findHelper(config, host, "config.json");
  } catch (error) {
    expect(error).toBeInstanceOf(OcibundleError);
  }
};

test("any text is a config or a typed error", () => {
  const secretLike = fc.oneof(fc.string(), fc.jsonValue());
  const configLike = fc
    .record(
      {
        auths: fc.oneof(
          fc.jsonValue(),
          fc.dictionary(
            fc.constantFrom(host, `https://${host}/v1/`, `${host}/a`, "__proto__"),
            fc.oneof(
              fc.jsonValue(),
              fc.record(
                {
                  auth: secretLike,
                  username: secretLike,
                  password: secretLike,
                  identitytoken: secretLike,
                  registrytoken: secretLike,
                },
                { requiredKeys: [] },
              ),
            ),
          ),
        ),
        credHelpers: fc.oneof(fc.jsonValue(), fc.dictionary(fc.constant(host), fc.jsonValue())),
        credsStore: secretLike,
      },
      { requiredKeys: [] },
    )
    .map((config) => JSON.stringify(config));
  fc.assert(
    fc.property(fc.oneof(fc.string({ unit: "binary" }), fc.json(), configLike), typedOnly),
    runs,
  );
});

test("a message about a broken config has none of its values", () => {
  fc.assert(
    fc.property(
      fc.stringMatching(/^[a-z0-9]{16}$/),
      fc.integer({ min: 0, max: 3 }),
      (secret, kind) => {
        const entry = [
          { auth: `!${secret}` },
          { auth: [secret] },
          { identitytoken: { secret } },
          secret,
        ][kind];
        const config = parseDockerConfig(
          JSON.stringify({ auths: { [host]: entry } }),
          "config.json",
        );
        let message = "";
        try {
          findEntry(config, host, undefined, "config.json");
        } catch (error) {
          message = String(error);
        }
        expect(message).toContain("config.json");
        expect(message).not.toContain(secret);
      },
    ),
    runs,
  );
});

test("what is written for a user and a password is read back", () => {
  const username = fc.string({ minLength: 1 }).filter((name) => !name.includes(":"));
  const password = fc
    .oneof(fc.string(), fc.string({ unit: "grapheme" }))
    .filter((text) => !/^\0|\0$/.test(text));
  fc.assert(
    fc.property(username, password, (user, secret) => {
      const credential = { kind: "password", username: user, password: secret } as const;
      const text = JSON.stringify({ auths: { [host]: formatEntry(credential) } });
      const config = parseDockerConfig(text, "config.json");
      expect(findEntry(config, host, "a", "config.json")?.credential).toEqual(credential);
    }),
    runs,
  );
});

test("a key's form is final, and every repository is spoken for by its host", () => {
  const key = fc.oneof(fc.string(), fc.webUrl(), fc.constantFrom("https://index.docker.io/v1/"));
  const name = fc.stringMatching(/^[a-z0-9]{1,5}(\/[a-z0-9]{1,5}){0,3}$/);
  fc.assert(
    fc.property(key, name, (text, repository) => {
      const keys = keysFor(host, repository);
      expect(keys).toEqual(keys.toSorted((a, b) => b.length - a.length));
      expect(keys.at(-1)).toBe(host);
      expect(normalizeKey(text)).toBe(normalizeKey(` ${text}`));
    }),
    runs,
  );
});

/** JSON objects as programs write them, with `__proto__` as any other key. */
const documents = fc.tuple(
  fc.dictionary(
    fc.oneof(fc.string(), fc.constantFrom("auths", "credsStore", "a")),
    fc.oneof(fc.jsonValue(), fc.dictionary(fc.string(), fc.jsonValue())),
  ),
  fc.constantFrom(undefined, 2, "\t", 1),
);

test("a member that is set or removed changes nothing else", () => {
  fc.assert(
    fc.property(documents, fc.string(), fc.jsonValue(), ([document, indent], key, value) => {
      const text = JSON.stringify(document, null, indent);
      const before = JSON.parse(text) as Record<string, unknown>;
      const old = before["auths"];
      const isObject = typeof old === "object" && old !== null && !Array.isArray(old);
      // What stands there, expected an object is replaced.
      const members = isObject ? Object.entries(old) : [];
      const set = editMember(text, "auths", { remove: () => false, set: { key, value } });
      const expected = Object.fromEntries([...members, [key, value]]);
      expect(JSON.parse(set)).toEqual(
        JSON.parse(
          JSON.stringify(Object.fromEntries([...Object.entries(before), ["auths", expected]])),
        ),
      );
      if (!isObject || Object.hasOwn(old, key) || members.length === 0) return;
      expect(editMember(set, "auths", { remove: (name) => name === key })).toBe(text);
    }),
    runs,
  );
});
