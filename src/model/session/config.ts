import { dirname, isAbsolute, join, resolve } from "node:path";
import * as v from "valibot";
import { recordOf } from "../../oci/open-schemas.ts";
import { OcibundleError } from "../../errors.ts";
import { homeDirectory } from "../../runtime/home-directory.ts";
import { readDocumentSync } from "../../runtime/read-document.ts";
import { type LinkMode, linkModes } from "./link-mode.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import { type LayoutName, layoutNames } from "../format/layout-name.ts";
import { parseYaml } from "../format/yaml.ts";
import { isMissing, readingCode, unreadableBecause } from "../../runtime/file-faults.ts";
import { isHost, type MirrorAddress, MirrorSchema } from "./mirror-settings.ts";
import { FlagSchema, known, MappingSchema, PathSchema, unknownMember } from "./settings-schemas.ts";
import {
  RepositoryPatternSchema,
  resolved,
  VerifySchema,
  type VerifySettings,
} from "./verify-settings.ts";

/** How one registry is spoken to (docs/mirrors.md). Paths are absolute. */
export interface RegistrySettings {
  /** In the order in which they are asked. */
  mirrors: readonly MirrorAddress[];
  /** What weights are written as there. */
  layout?: LayoutName | undefined;
  plainHttp?: boolean | undefined;
  insecure?: boolean | undefined;
  caFile?: string | undefined;
  certFile?: string | undefined;
  keyFile?: string | undefined;
  /** Who must have signed what is pulled (docs/signing.md). */
  verify?: VerifySettings | undefined;
  /** The same for some repositories, by their name or by `PREFIX/*`. */
  repositories?: ReadonlyMap<string, VerifySettings> | undefined;
}

/** The configuration file, as read and validated. */
export interface Config {
  /** What `pull` does unless a flag or the environment says otherwise. */
  pull?: { link?: LinkMode | undefined } | undefined;
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

const SettingsSchema = v.strictObject(
  {
    mirrors: v.optional(v.array(MirrorSchema, "must be a list")),
    layout: v.optional(v.picklist(layoutNames, `must be one of ${layoutNames.join(", ")}`)),
    plainHttp: FlagSchema,
    insecure: FlagSchema,
    caFile: PathSchema,
    certFile: PathSchema,
    keyFile: PathSchema,
    verify: v.optional(VerifySchema),
    repositories: v.optional(
      v.pipe(
        MappingSchema,
        recordOf(RepositoryPatternSchema, v.strictObject({ verify: VerifySchema }, known)),
      ),
    ),
  },
  known,
);

const HostSchema = v.pipe(
  v.string(),
  v.check(
    (text) => text === "*" || isHost(text),
    "is not a host such as docker.io or localhost:5000",
  ),
);

const TextSchema = v.optional(
  v.pipe(v.string("must be a string"), v.minLength(1, "must not be empty")),
);

const ServeSchema = v.strictObject(
  {
    map: v.optional(
      v.pipe(MappingSchema, recordOf(v.string(), v.string("must be a reference"))),
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

const PullSchema = v.strictObject(
  {
    link: v.optional(v.picklist(linkModes, `must be one of ${linkModes.join(", ")}`)),
  },
  known,
);

const ConfigSchema = v.pipe(
  MappingSchema,
  v.strictObject(
    {
      registries: v.optional(v.pipe(MappingSchema, recordOf(HostSchema, SettingsSchema))),
      serve: v.optional(ServeSchema),
      pull: v.optional(PullSchema),
    },
    known,
  ),
);

const noServe: ServeSettings = { map: {}, hostNames: [] };

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
    const message = `${path}: ${at === null ? "" : `${at}: `}${issue.message}`;
    throw new OcibundleError("file", message, {
      hint: issue.message === unknownMember ? "check its name and its indentation" : undefined,
    });
  }
  const registries = Object.entries(result.output.registries ?? {}).map(([host, settings]) => {
    const { mirrors = [], caFile, certFile, keyFile, verify, repositories, ...flags } = settings;
    const files = Object.entries({ caFile, certFile, keyFile }).flatMap(([name, file]) =>
      file === undefined ? [] : [[name, resolve(dirname(path), file)] as const],
    );
    const signed = {
      ...(verify === undefined ? {} : { verify: resolved(verify, path) }),
      ...(repositories === undefined ? {} : { repositories: ofRepositories(repositories, path) }),
    };
    return [
      host.toLowerCase(),
      { mirrors, ...flags, ...signed, ...Object.fromEntries(files) },
    ] as const;
  });
  const byHost = new Map(registries);
  if (byHost.size < registries.length) {
    const hosts = registries.map(([host]) => host);
    const twice = hosts.find((host, at) => hosts.indexOf(host) < at) ?? "";
    throw new OcibundleError("file", `${path}: registries.${twice}: is listed twice`, {
      hint: "remove one of them",
    });
  }
  const { serve = noServe, pull } = result.output;
  const { tokenFile } = serve;
  const token = tokenFile === undefined ? {} : { tokenFile: resolve(dirname(path), tokenFile) };
  return {
    registries: byHost,
    serve: { ...serve, ...token },
    ...(pull === undefined ? {} : { pull }),
  };
}

const ofRepositories = (
  repositories: Readonly<Record<string, { verify: VerifySettings }>>,
  path: string,
): ReadonlyMap<string, VerifySettings> =>
  new Map(Object.entries(repositories).map(([name, { verify }]) => [name, resolved(verify, path)]));

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
