import { Buffer } from "node:buffer";
import { digestHex, digestOf } from "../oci/digest.ts";
import { type Answer, json } from "./answer.ts";
import { type HubFile, type HubSnapshot, NotOnHub } from "./hub-source.ts";

// A hub is also something like a registry, for llama.cpp and Ollama: `v2/ORG/MODEL/manifests/QUANT` names
// the GGUF file of a quantization.

const manifestType = "application/vnd.docker.distribution.manifest.v2+json";
const configType = "application/vnd.docker.container.image.v1+json";

/** Without a quantization, these are looked for first, as llama.cpp does. */
const usual = ["Q4_K_M", "Q8_0"];

/** Files beside a GGUF that Ollama knows, by their names and types of layers. */
const besides: ReadonlyMap<string, string> = new Map([
  ["template", "application/vnd.ollama.image.template"],
  ["system", "application/vnd.ollama.image.system"],
  ["params", "application/vnd.ollama.image.params"],
  ["params.json", "application/vnd.ollama.image.params"],
]);

const isFirst = (path: string): boolean =>
  !/-\d{5}-of-\d{5}\.gguf$/i.test(path) || /-00001-of-\d{5}\.gguf$/i.test(path);

/** The GGUF file of a quantization: the first part where there are several. Undefined where there is none. */
export function findGguf({ files }: HubSnapshot, quant: string | undefined): HubFile | undefined {
  const all = files.filter(({ path }) => /\.gguf$/i.test(path) && isFirst(path));
  const models = all.filter(({ path }) => !/(?:^|\/)mmproj/i.test(path));
  const of = (name: string): HubFile | undefined => {
    const pattern = new RegExp(`(?:^|[-./_])${name.replaceAll(/[^\w]/g, ".")}(?:[-./]|$)`, "i");
    return models.find(({ path }) => pattern.test(path));
  };
  if (quant !== undefined) return of(quant);
  for (const name of usual) {
    const found = of(name);
    if (found !== undefined) return found;
  }
  return models[0];
}

/** The config that Ollama wants beside a GGUF file, made from it alone. */
export function ollamaConfig({ digest }: HubFile): Uint8Array {
  const config = {
    model_format: "gguf",
    model_family: "",
    model_families: null,
    model_type: "",
    file_type: "",
    architecture: "amd64",
    os: "linux",
    rootfs: { type: "layers", diff_ids: [digest] },
  };
  return Buffer.from(JSON.stringify(config));
}

/** The manifest for a GGUF file, for Ollama, with what llama.cpp reads. Throws `NotOnHub` without such a file. */
export function ggufManifest(snapshot: HubSnapshot, file: HubFile | undefined): Answer {
  if (file === undefined) {
    throw new NotOnHub("file", `${snapshot.id} has no GGUF file of that name`, {
      cause: { commit: snapshot.commit },
    });
  }
  const config = ollamaConfig(file);
  const more = snapshot.files.flatMap(({ path, size, digest }) => {
    const mediaType = besides.get(path);
    return mediaType === undefined ? [] : [{ mediaType, size, digest }];
  });
  const manifest = {
    schemaVersion: 2,
    mediaType: manifestType,
    config: { mediaType: configType, size: config.byteLength, digest: digestOf(config) },
    layers: [
      { mediaType: "application/vnd.ollama.image.model", size: file.size, digest: file.digest },
      ...more,
    ],
    ggufFile: {
      rfilename: file.path,
      size: file.size,
      blobId: digestHex(file.digest).slice(0, 40),
      lfs: { sha256: digestHex(file.digest), size: file.size, pointerSize: 135 },
    },
  };
  const answer = json(manifest);
  return {
    ...answer,
    headers: {
      ...answer.headers,
      "content-type": manifestType,
      "x-repo-commit": snapshot.commit,
      "docker-content-digest": digestOf(answer.body as Uint8Array),
    },
  };
}
