import { OcibundleError } from "../../errors.ts";
import { isRepositoryName, isTag, parseReference } from "../../oci/reference.ts";
import { parseImageSource, referenceOf } from "../../image/source/source.ts";
import { isHubId } from "../format/hub-revision.ts";

/** Where a model is: on a registry, or on this machine. */
export type ModelPlace =
  | {
      kind: "registry";
      host: string;
      repository: string;
      /** What `main` stands for: a tag, or a digest. */
      main: string;
    }
  | { kind: "local"; text: string };

/** Which models there are, by their ids. */
export interface Catalog {
  /** Undefined for an id that is none, or of no model. */
  find(id: string): ModelPlace | undefined;
  /** Those that are known by name. */
  ids: readonly string[];
}

/** Which models are served: maps by id, and a registry for all other ids. */
export interface CatalogOptions {
  /** `ID=REF` each. */
  map: readonly string[];
  /** Maps of the configuration: id to reference; those of `map` go before. */
  configured: Readonly<Record<string, string>>;
  /** `HOST[/PREFIX]`: an id is the name of a repository below it. */
  registry: string | undefined;
  /** What the revision `main` stands for where a reference has no tag. */
  tag: string | undefined;
}

/** What URLs of the API begin with: files of a model of this name could not be asked for. */
const routed: ReadonlySet<string> = new Set(["api", "v2"]);

/** Reads what is served. Throws `usage`, naming the flag and what is wrong with it. */
export function parseCatalog({ map, configured, registry, tag }: CatalogOptions): Catalog {
  if (tag !== undefined && !isTag(tag)) {
    throw new OcibundleError("usage", `--tag: "${tag}" is not a tag`, {
      hint: "use letters, digits, _, - and ., such as --tag v1",
    });
  }
  const places = new Map<string, ModelPlace>();
  checkOnce(map);
  const pairs = [
    ...Object.entries(configured).map(([id, reference]) => ({ id, reference, on: "serve.map" })),
    ...map.map((text) => ({ ...splitPair(text), on: "--map" })),
  ];
  for (const { id, reference, on } of pairs) {
    if (!isHubId(id)) {
      throw new OcibundleError("usage", `${on}: "${id}" is not a model ID`, {
        hint: "use ORG/MODEL=REF: letters, digits, and single -, _ and . between them",
      });
    }
    const [first = ""] = id.split("/");
    if (routed.has(first)) {
      throw new OcibundleError(
        "usage",
        `${on}: "${id}" cannot be a model ID: "/${first}" is the API`,
        {
          hint: "use another ORG in ORG/MODEL=REF",
        },
      );
    }
    places.set(id, placeOf(reference, tag));
  }
  const below = registry === undefined ? undefined : parsePrefix(registry);
  if (places.size === 0 && below === undefined) {
    throw new OcibundleError("usage", "no models to serve: --map and --registry are missing", {
      hint: "use `ocibundle serve --map ORG/MODEL=REF`, or --registry HOST/PREFIX for all models below it",
    });
  }
  return {
    ids: [...places.keys()],
    find(id) {
      if (!isHubId(id)) return undefined;
      const place = places.get(id);
      if (place !== undefined || below === undefined) return place;
      const repository = [...below.prefix, id.toLowerCase()].join("/");
      if (!isRepositoryName(repository)) return undefined;
      return { kind: "registry", host: below.host, repository, main: tag ?? "latest" };
    },
  };
}

/** Each id stands for one reference: configured ones may be replaced, but of two flags one would be lost. */
function checkOnce(map: readonly string[]): void {
  const known = new Map<string, string>();
  for (const { id, reference } of map.map(splitPair)) {
    const other = known.get(id) ?? reference;
    if (other !== reference) {
      throw new OcibundleError(
        "usage",
        `--map: "${id}" is mapped to "${other}" and "${reference}"`,
        {
          hint: "map it once, or use another model ID for one of them",
        },
      );
    }
    known.set(id, reference);
  }
}

function splitPair(text: string): { id: string; reference: string } {
  const at = text.indexOf("=");
  if (at < 1 || at === text.length - 1) {
    throw new OcibundleError("usage", `--map: "${text}" is not of the form ORG/MODEL=REF`, {
      hint: "use --map acme/llama=registry.example.com/acme/llama:v1",
    });
  }
  return { id: text.slice(0, at), reference: text.slice(at + 1) };
}

function placeOf(text: string, tag: string | undefined): ModelPlace {
  const reference = referenceOf(parseImageSource(text));
  if (reference === undefined) return { kind: "local", text };
  const { host, repository, digest } = reference;
  const isTagged = /:[\w.-]+$/.test(text.replace(/@.*$/, ""));
  const main = digest ?? (isTagged ? reference.tag : undefined) ?? tag ?? "latest";
  return { kind: "registry", host, repository, main };
}

function parsePrefix(text: string): { host: string; prefix: string[] } {
  const bare = text.replace(/^docker:\/\//, "").replace(/\/+$/, "");
  const fault = new OcibundleError("usage", `--registry: "${text}" is not HOST or HOST/PREFIX`, {
    hint: "use --registry registry.example.com/models",
  });
  try {
    const { host, repository, tag, digest } = parseReference(`${bare}/org/model`);
    const prefix = repository.split("/").slice(0, -2);
    const written = bare.split("/").slice(1);
    if (digest !== undefined || tag !== "latest" || prefix.join("/") !== written.join("/")) {
      throw fault;
    }
    return { host, prefix };
  } catch (error) {
    throw error === fault
      ? error
      : new OcibundleError("usage", fault.message, { hint: fault.hint, cause: error });
  }
}
