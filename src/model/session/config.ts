import { dirname, isAbsolute, join, resolve } from "node:path";
import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import { isRepositoryName } from "../../oci/reference.ts";
import { homeDirectory } from "../../runtime/home-directory.ts";
import { readDocumentSync } from "../../runtime/read-document.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import { parseYaml } from "../format/yaml.ts";
import { isMissing, readingCode, unreadableBecause } from "../../runtime/file-faults.ts";

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

/** How one registry is spoken to (docs/mirrors.md). Paths are absolute. */
export interface RegistrySettings {
  /** In the order in which they are asked. */
  mirrors: readonly MirrorAddress[];
  plainHttp?: boolean | undefined;
  insecure?: boolean | undefined;
  caFile?: string | undefined;
  certFile?: string | undefined;
  keyFile?: string | undefined;
}

export interface Config {
  /** By host, as a {@link Reference} has it; `*` for those without an entry of their own. */
  registries: ReadonlyMap<string, RegistrySettings>;
  serve: ServeSettings;
}

/** What `serve` is given unless its flags say otherwise (docs/serve.md). Paths are absolute. */
export interface ServeSettings {
  /** Ids of models, and what is served under them. */
  map: Readonly<Record<string, string>>;
  registry?: string | undefined;
  tag?: string | undefined;
  listen?: string | undefined;
  tokenFile?: string | undefined;
  anonymous?: boolean | undefined;
  hostNames: readonly string[];
  root?: string | undefined;
}

const known = (issue: { expected: string | null; received: string }): string => {
  if (issue.expected === "never") return "is not known";
  return issue.received === "undefined" ? "is missing" : "must be a mapping";
};

/** A list is an object too. */
const MappingSchema = v.custom<object>(
  (input) => typeof input === "object" && input !== null && !Array.isArray(input),
  "must be a mapping",
);

const FlagSchema = v.optional(v.boolean("must be true or false"));
const PathSchema = v.optional(
  v.pipe(v.string("must be a path"), v.minLength(1, "must not be empty")),
);

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
  v.record(
    v.pipe(
      v.string(),
      v.toLowerCase(),
      v.regex(/^[!#$%&'*+.^_`|~0-9a-z-]+$/, "is not the name of a header"),
      v.check((name) => !ownHeaders.test(name), "is a header that can't be set"),
    ),
    v.pipe(
      v.string("must be a string"),
      v.regex(/^[\x21-\x7e](?:[\x20-\x7e]*[\x21-\x7e])?$/, "is not the value of a header"),
    ),
  ),
);

const MirrorSchema = v.lazy((input) =>
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

const SettingsSchema = v.strictObject(
  {
    mirrors: v.optional(v.array(MirrorSchema, "must be a list")),
    plainHttp: FlagSchema,
    insecure: FlagSchema,
    caFile: PathSchema,
    certFile: PathSchema,
    keyFile: PathSchema,
  },
  known,
);

const hostPattern = /^(?:\[[0-9a-f:.]+\]|[a-z0-9](?:[a-z0-9._-]*[a-z0-9])?)(?::\d{1,5})?$/i;

// The pattern takes names that no URL does: 1.2.3.999.
const isHost = (text: string): boolean => hostPattern.test(text) && URL.canParse(`http://${text}/`);

const HostSchema = v.pipe(
  v.string(),
  v.check((text) => text === "*" || isHost(text), "is not a host, as docker.io or localhost:5000"),
);

const TextSchema = v.optional(
  v.pipe(v.string("must be a string"), v.minLength(1, "must not be empty")),
);

const ServeSchema = v.strictObject(
  {
    map: v.optional(
      v.pipe(MappingSchema, v.record(v.string(), v.string("must be a reference"))),
      {},
    ),
    registry: TextSchema,
    tag: TextSchema,
    listen: TextSchema,
    tokenFile: PathSchema,
    anonymous: FlagSchema,
    hostNames: v.optional(v.array(v.string("must be a string"), "must be a list"), []),
    root: TextSchema,
  },
  known,
);

const ConfigSchema = v.pipe(
  MappingSchema,
  v.strictObject(
    {
      registries: v.optional(v.pipe(MappingSchema, v.record(HostSchema, SettingsSchema))),
      serve: v.optional(ServeSchema),
    },
    known,
  ),
);

const noServe: ServeSettings = { map: {}, hostNames: [] };

/** The parts of a mirror's address, or what is wrong with it. */
function parseAddress(text: string): Omit<MirrorAddress, "tags" | "headers"> | string {
  const [, scheme, host = "", path = ""] = /^(?:([a-z]+):\/\/)?([^/]*)(.*)$/is.exec(text) ?? [];
  const protocol = scheme?.toLowerCase();
  if (protocol !== undefined && protocol !== "http" && protocol !== "https") {
    return "is neither http nor https";
  }
  if (!isHost(host)) return "is not a host or the URL of one";
  const prefix = path.replaceAll(/^\/+|\/+$/g, "");
  if (prefix === "v2" || prefix.startsWith("v2/")) {
    return "has the API's own path in it: leave out /v2";
  }
  if (prefix !== "" && !isRepositoryName(prefix)) {
    return "has a path that is not the start of a repository's name";
  }
  return { name: text, host, scheme: protocol, prefix };
}

/**
 * Reads a configuration file; `path` names it in messages and is what relative paths in it start from.
 * Throws `file` with the path of the first fault.
 */
export const parseConfig = (bytes: Uint8Array, path: string): Config =>
  configOf(parseYaml(bytes, path), path);

function configOf(document: unknown, path: string): Config {
  const result = v.safeParse(ConfigSchema, document);
  if (!result.success) {
    const [issue] = result.issues;
    const at = v.getDotPath(issue);
    throw new OcibundleError("file", `${path}: ${at === null ? "" : `${at}: `}${issue.message}`);
  }
  const registries = Object.entries(result.output.registries ?? {}).map(([host, settings]) => {
    const { mirrors = [], caFile, certFile, keyFile, ...flags } = settings;
    const files = Object.entries({ caFile, certFile, keyFile }).flatMap(([name, file]) =>
      file === undefined ? [] : [[name, resolve(dirname(path), file)] as const],
    );
    return [host.toLowerCase(), { mirrors, ...flags, ...Object.fromEntries(files) }] as const;
  });
  const { serve = noServe } = result.output;
  const { tokenFile } = serve;
  const token = tokenFile === undefined ? {} : { tokenFile: resolve(dirname(path), tokenFile) };
  return { registries: new Map(registries), serve: { ...serve, ...token } };
}

/** What is set for a host: its own entry, or the one for all others; never parts of both. */
export const settingsOf = ({ registries }: Config, host: string): RegistrySettings =>
  registries.get(host.toLowerCase()) ?? registries.get("*") ?? { mirrors: [] };

/** More than this is no configuration, in bytes. */
const maxConfigBytes = 1024 * 1024;

/**
 * The configuration in force: the file that was named, else `ocibundle/config.yaml` in the user's
 * directory for configurations where there is one. One that nobody named and that can't be read, or is no YAML,
 * is told and passed over; what a config says must be right: a setting is never ignored. Throws `file`, `system`.
 */
export function readConfig({
  env,
  cwd,
  flags,
  emit,
}: {
  env: Readonly<Record<string, string | undefined>>;
  cwd: string;
  flags: { config?: string | undefined };
  emit: EmitEvent;
}): Config {
  const none: Config = { registries: new Map(), serve: noServe };
  const named = flags.config === undefined ? undefined : resolve(cwd, flags.config);
  const path = named ?? defaultPath(env);
  if (path === undefined) return none;
  const passOver = (message: string): Config => {
    emit({ type: "warning", message: `${message}; continuing without it` });
    return none;
  };
  let bytes: Uint8Array;
  try {
    bytes = readDocumentSync(path, { maxBytes: maxConfigBytes, named: named !== undefined });
  } catch (cause) {
    if (named === undefined && isMissing(cause)) return none;
    const message = `the configuration "${path}" ${unreadableBecause(cause)}`;
    if (named !== undefined) {
      throw new OcibundleError(readingCode(cause), message, { cause });
    }
    return passOver(message);
  }
  if (named !== undefined) return parseConfig(bytes, path);
  let document: unknown;
  try {
    document = parseYaml(bytes, path);
  } catch (error) {
    if (!(error instanceof OcibundleError)) throw error;
    return passOver(error.message);
  }
  return configOf(document, path);
}

/** As the XDG base directory specification has it; undefined when no home directory is known. */
function defaultPath(env: Readonly<Record<string, string | undefined>>): string | undefined {
  const xdg = env["XDG_CONFIG_HOME"];
  if (xdg && isAbsolute(xdg)) return join(xdg, "ocibundle", "config.yaml");
  const home = homeDirectory(env);
  return home && isAbsolute(home) ? join(home, ".config", "ocibundle", "config.yaml") : undefined;
}
