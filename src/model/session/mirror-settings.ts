import * as v from "valibot";
import { recordOf } from "../../oci/open-schemas.ts";
import { isRepositoryName } from "../../oci/reference.ts";
import { FlagSchema, known, MappingSchema } from "./settings-schemas.ts";

/** Where content of a registry may be had besides the registry itself. */
export interface MirrorAddress {
  /** As it was written, for messages. */
  name: string;
  host: string;
  /** Undefined: as for any registry of that host. */
  scheme: "http" | "https" | undefined;
  /** What goes in front of a repository's name there, without a slash at the end; often nothing. */
  prefix: string;
  /** Whether it may say what a tag stands for; else it is asked for digests only. */
  tags: boolean;
  /** What it wants to be told with each request, names in lower case. */
  headers: Readonly<Record<string, string>>;
}

const hostPattern = /^(?:\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)(?::\d{1,5})?$/i;

/** Whether a text is `host[:port]` of a registry: by a pattern, and by URL, which refuses 1.2.3.999. */
export const isHost = (text: string): boolean =>
  hostPattern.test(text) && URL.canParse(`http://${text}/`);

/** `host[:port][/prefix]`, with a scheme or without. */
const AddressSchema = v.pipe(
  v.string("must be a host or a URL"),
  v.rawTransform(({ dataset, addIssue, NEVER }) => {
    const address = parseAddress(dataset.value);
    if (typeof address !== "string") return address;
    addIssue({ message: `${JSON.stringify(dataset.value)} ${address}` });
    return NEVER;
  }),
);

/** Headers that the client makes itself, or that would let somebody in. */
const ownHeaders =
  /^(?:authorization|cookie|host|connection|transfer-encoding|range|accept.*|content-.*|proxy-.*)$/;

const HeadersSchema = v.pipe(
  MappingSchema,
  recordOf(
    v.pipe(
      v.string(),
      v.toLowerCase(),
      v.regex(/^[!#$%&'*+.^_`|~0-9a-z-]+$/, "is not the name of a header"),
      v.check((name) => !ownHeaders.test(name), "is a header that cannot be set"),
    ),
    v.pipe(
      v.string("must be a string"),
      v.regex(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/, "is not the value of a header"),
    ),
  ),
);

/** A mirror in the configuration: an address, or an object with settings. */
export const MirrorSchema = v.lazy((input) =>
  typeof input === "string"
    ? v.pipe(
        AddressSchema,
        v.transform((address) => ({ ...address, tags: true, headers: {} })),
      )
    : v.pipe(
        v.strictObject(
          { url: AddressSchema, tags: FlagSchema, headers: v.optional(HeadersSchema) },
          known,
        ),
        v.transform(({ url, tags = true, headers = {} }) => ({ ...url, tags, headers })),
      ),
);

/** The parts of a mirror's address, or what is wrong with it. */
function parseAddress(text: string): Omit<MirrorAddress, "tags" | "headers"> | string {
  const [, scheme, host = "", path = ""] = /^(?:([a-z]+):\/\/)?([^/]*)(.*)$/is.exec(text) ?? [];
  const protocol = scheme?.toLowerCase();
  if (protocol !== undefined && protocol !== "http" && protocol !== "https") {
    return "is neither http nor https";
  }
  if (!isHost(host)) return "is not a host or URL";
  const prefix = path.replaceAll(/^\/+|\/+$/g, "");
  if (prefix === "v2" || prefix.startsWith("v2/")) {
    return "includes the API path: remove /v2";
  }
  if (prefix !== "" && !isRepositoryName(prefix)) {
    return "has a path that is not a prefix of a repository name";
  }
  return { name: text, host: host.toLowerCase(), scheme: protocol, prefix };
}
