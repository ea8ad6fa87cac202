import { describe, expect, test } from "bun:test";
import * as fc from "fast-check";
import { OcibundleError } from "../../src/errors.ts";
import { type Config, parseConfig } from "../../src/model/session/config.ts";
import { settingsOf } from "../../src/model/session/settings-of.ts";
import { isRepositoryName } from "../../src/oci/reference.ts";
import { runs } from "../support/property-runs.ts";

const path = "/etc/ocibundle/config.yaml";
const encode = (text: string): Uint8Array => new TextEncoder().encode(text);

/** The configuration, or undefined where it is refused as it should be: by a typed error that names the file. */
function read(bytes: Uint8Array): Config | undefined {
  try {
    return parseConfig(bytes, path);
  } catch (error) {
    if (error instanceof OcibundleError && error.code === "file") {
      expect(error.message).toStartWith(`${path}: `);
      return undefined;
    }
    throw error;
  }
}

const hosts = fc
  .tuple(
    fc.oneof(fc.domain(), fc.ipV4(), fc.constantFrom("localhost", "zot", "[::1]")),
    fc.option(fc.integer({ min: 1, max: 65_535 })),
  )
  .map(([name, port]) => (port === null ? name : `${name}:${port}`));

const prefixes = fc
  .array(fc.stringMatching(/^[a-z0-9]{1,8}$/), { maxLength: 3 })
  .map((parts) => parts.join("/"))
  .filter((prefix) => prefix === "" || (isRepositoryName(prefix) && !/^v2(?:\/|$)/.test(prefix)));

const addresses = fc.record({
  scheme: fc.constantFrom("http", "https", undefined),
  host: hosts,
  prefix: prefixes,
});

describe("a configuration", () => {
  test("of any bytes is read or refused", () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.string({ unit: "binary" }).map(encode)), (bytes) => {
        read(bytes);
      }),
      runs,
    );
  });

  test("of any document is read or refused, and gives sound settings", () => {
    const members = fc.constantFrom("mirrors", "plainHttp", "caFile", "url", "tags", "__proto__");
    const settings = fc.dictionary(
      members,
      fc.oneof(fc.boolean(), fc.string(), fc.array(fc.oneof(fc.string(), fc.jsonValue()))),
    );
    const documents = fc.oneof(
      fc.jsonValue(),
      fc.record({ registries: fc.dictionary(fc.oneof(hosts, fc.string()), settings) }),
    );
    fc.assert(
      fc.property(documents, hosts, (document, host) => {
        const config = read(encode(JSON.stringify(document)));
        if (config === undefined) return;
        for (const mirror of settingsOf(config, host).mirrors) {
          expect(URL.canParse(`http://${mirror.host}/v2/${mirror.prefix}`)).toBe(true);
        }
      }),
      runs,
    );
  });

  test("gives the mirrors that were written, in their order", () => {
    fc.assert(
      fc.property(hosts, fc.array(addresses, { maxLength: 4 }), (host, mirrors) => {
        const written = mirrors.map(
          ({ scheme, host: of, prefix }) =>
            `${scheme === undefined ? "" : `${scheme}://`}${of}${prefix === "" ? "" : `/${prefix}`}`,
        );
        const document = { registries: { [host]: { mirrors: written } } };
        const config = parseConfig(encode(JSON.stringify(document)), path);
        expect(settingsOf(config, host).mirrors).toEqual(
          mirrors.map((mirror, index) => ({
            ...mirror,
            name: written[index] ?? "",
            tags: true,
            headers: {},
          })),
        );
      }),
      runs,
    );
  });
});
