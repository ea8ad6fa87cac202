import { expect, test } from "bun:test";
import * as fc from "fast-check";
import {
  findEntry,
  findHelper,
  formatEntry,
  parseDockerConfig,
} from "../../src/credentials/docker-config.ts";
import { keysFor, normalizeKey } from "../../src/credentials/registry-key.ts";
import { OcibundleError } from "../../src/errors.ts";
import { runs } from "./runs.ts";

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
    .filter((text) => !text.endsWith("\0"));
  fc.assert(
    fc.property(username, password, (user, secret) => {
      const credential = { kind: "password", username: user, password: secret } as const;
      const config = { auths: { [host]: formatEntry(credential) } };
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
