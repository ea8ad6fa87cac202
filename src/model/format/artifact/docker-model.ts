import type { Descriptor } from "../../../oci/descriptor.ts";
import {
  type ArtifactContents,
  type ArtifactFormat,
  annotationOf,
  numbered,
  rawFile,
  tarAtRoot,
  typeOf,
  withoutPath,
} from "./contents.ts";
import { isTarType, pathAnnotations } from "./modelpack.ts";

const prefix = "application/vnd.docker.ai.";

/** What a layer without a path is called, by its type: stem and extension. */
const namesByType: ReadonlyMap<string, readonly [string, string]> = new Map([
  ["gguf.v3", ["model", ".gguf"]],
  ["gguf.v3.lora", ["adapter", ".gguf"]],
  ["safetensors", ["model", ".safetensors"]],
  ["dduf", ["model", ".dduf"]],
  ["mmproj", ["mmproj", ".gguf"]],
  ["chat.template.jinja", ["chat_template", ".jinja"]],
  ["license", ["LICENSE", ""]],
] as const);

/** Types of which several are the shards of one model. */
const sharded = new Set(["gguf.v3", "safetensors"]);

/**
 * Docker Model Runner's own format. In version 0.2 each layer has a path; in 0.1 the layers' types say
 * what they are, and several layers of weights are the shards of one model, in their order.
 */
export const dockerModel: ArtifactFormat = {
  name: "docker-model",
  title: "Docker Model Runner",
  needsConfig: false,
  matches: ({ config }) => typeOf(config).startsWith(`${prefix}model.config.`),
  list({ layers }, { on }) {
    const contents: ArtifactContents = { files: [], tars: [] };
    const kinds = Map.groupBy(layers, typeOf);
    for (const layer of layers) {
      if (isTarType(layer)) {
        contents.tars.push(tarAtRoot(layer));
        continue;
      }
      const path =
        annotationOf(layer, ...pathAnnotations) ?? madeUp(layer, kinds.get(typeOf(layer)) ?? []);
      if (path === undefined) throw withoutPath(layer, on, `annotation "${pathAnnotations[0]}"`);
      contents.files.push(rawFile(path, layer, on));
    }
    return contents;
  },
};

const five = (count: number): string => String(count).padStart(5, "0");

function madeUp(layer: Descriptor, alike: readonly Descriptor[]): string | undefined {
  const kind = typeOf(layer).slice(prefix.length);
  const name = namesByType.get(kind);
  if (name === undefined) return undefined;
  const [stem, extension] = name;
  const index = alike.indexOf(layer);
  if (alike.length === 1 || !sharded.has(kind)) return numbered(stem, extension, index);
  return `${stem}-${five(index + 1)}-of-${five(alike.length)}${extension}`;
}
