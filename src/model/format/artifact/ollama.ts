import type { Descriptor } from "../../../oci/descriptor.ts";
import { type ArtifactFormat, numbered, rawFile, type StoredFile, typeOf } from "./contents.ts";

const prefix = "application/vnd.ollama.image.";

/** What a layer is called, by its type: Ollama's manifests have no file names. Stem and extension. */
const namesByType: ReadonlyMap<string, readonly [string, string]> = new Map([
  ["model", ["model", ".gguf"]],
  ["projector", ["projector", ".gguf"]],
  ["adapter", ["adapter", ".gguf"]],
  ["draft", ["draft", ".gguf"]],
  ["template", ["template", ""]],
  ["prompt", ["prompt", ""]],
  ["system", ["system", ".txt"]],
  ["params", ["params", ".json"]],
  ["messages", ["messages", ".json"]],
  ["license", ["license", ".txt"]],
  ["embed", ["embed", ".bin"]],
] as const);

/** Ollama's models: a manifest of Docker's type, each layer one part of the model. */
export const ollama: ArtifactFormat = {
  name: "ollama",
  title: "Ollama model",
  needsConfig: false,
  matches: ({ layers }) => layers.some((layer) => typeOf(layer).startsWith(prefix)),
  list({ layers }, { on }) {
    const counts = new Map<string, number>();
    const files: StoredFile[] = layers.map((layer) => {
      const kind = typeOf(layer).startsWith(prefix) ? typeOf(layer).slice(prefix.length) : "other";
      const index = counts.get(kind) ?? 0;
      counts.set(kind, index + 1);
      return rawFile(nameOf(kind, layer, index), layer, on);
    });
    return { files, tars: [] };
  },
};

function nameOf(kind: string, layer: Descriptor, index: number): string {
  const own = layer["name"];
  // Models of single tensors: each layer is one, and says which; `json` layers are files of the model.
  if (typeof own === "string" && own !== "") {
    return kind === "tensor" ? `tensors/${own}.safetensors` : own;
  }
  const [stem, extension] = namesByType.get(kind) ?? [kind.replaceAll(/[^a-z0-9_-]+/g, "-"), ""];
  return numbered(stem, extension, index);
}
