import { Buffer } from "node:buffer";
import * as v from "valibot";
import { blobChunks } from "../../store/blob-chunks.ts";
import type { PlacedFile } from "./original-file.ts";

/** What files say of a model; what none says is absent. Names as ModelPack's config has them. */
export interface ModelDescription {
  family?: string;
  architecture?: string;
  format?: string;
  /** `8b`, `270m`. */
  paramSize?: string;
  /** `bf16`. */
  precision?: string;
  quantization?: string;
}

const HubConfigSchema = v.looseObject({
  model_type: v.optional(v.string()),
  architectures: v.optional(v.array(v.string())),
  torch_dtype: v.optional(v.string()),
  dtype: v.optional(v.string()),
  quantization_config: v.optional(v.looseObject({ quant_method: v.optional(v.string()) })),
});

const HeaderSchema = v.record(
  v.string(),
  v.looseObject({
    dtype: v.optional(v.string()),
    shape: v.optional(v.array(v.pipe(v.number(), v.safeInteger(), v.minValue(0)))),
  }),
);

/** Larger documents are no configuration of a model. */
const maxDocument = 1024 * 1024;
const maxHeader = 16 * 1024 * 1024;

/** Reads what `config.json` and the headers of safetensors files say. What can't be read says nothing. */
export async function describeModel(
  files: readonly PlacedFile[],
  signal: AbortSignal,
): Promise<ModelDescription> {
  const description: ModelDescription = {};
  const formats = new Set(
    files.flatMap(({ path }) => /\.(safetensors|gguf|onnx)$/i.exec(path)?.[1] ?? []),
  );
  const [format] = formats;
  if (format !== undefined && formats.size === 1) description.format = format.toLowerCase();
  const config = files.find(({ path }) => path === "config.json");
  if (config !== undefined && config.size <= maxDocument) {
    const said = parsed(HubConfigSchema, await bytesOf(config, 0, config.size, signal));
    const dtype = said?.torch_dtype ?? said?.dtype;
    const quantization = said?.quantization_config?.quant_method;
    const architecture = said?.architectures?.[0];
    if (said?.model_type !== undefined) description.family = said.model_type;
    if (architecture !== undefined) description.architecture = architecture;
    if (dtype !== undefined) description.precision = precisions[dtype] ?? dtype;
    if (quantization !== undefined) description.quantization = quantization;
  }
  const count = await parametersOf(files, signal);
  if (count > 0) description.paramSize = shortCount(count);
  return description;
}

const precisions: Readonly<Record<string, string>> = {
  bfloat16: "bf16",
  float16: "fp16",
  float32: "fp32",
  float64: "fp64",
};

async function parametersOf(files: readonly PlacedFile[], signal: AbortSignal): Promise<number> {
  let count = 0;
  for (const file of files) {
    if (!/\.safetensors$/i.test(file.path) || file.size < 8) continue;
    const length = Number((await bytesOf(file, 0, 8, signal)).readBigUInt64LE(0));
    if (length > Math.min(maxHeader, file.size - 8)) continue;
    const header = parsed(HeaderSchema, await bytesOf(file, 8, 8 + length, signal));
    for (const { shape } of Object.values(header ?? {})) {
      if (shape !== undefined) count += shape.reduce((product, size) => product * size, 1);
    }
  }
  return count;
}

/** `8b`, `270m`: three digits at most. */
function shortCount(count: number): string {
  const [unit, size] = count >= 1e9 ? ["b", 1e9] : count >= 1e6 ? ["m", 1e6] : ["k", 1e3];
  return `${Number((count / size).toPrecision(2))}${unit}`;
}

async function bytesOf(
  file: PlacedFile,
  start: number,
  end: number,
  signal: AbortSignal,
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  const source = await file.source(signal);
  for await (const chunk of blobChunks(source, { start, end }, signal))
    chunks.push(new Uint8Array(chunk));
  return Buffer.concat(chunks);
}

function parsed<Schema extends v.GenericSchema>(
  schema: Schema,
  bytes: Uint8Array,
): v.InferOutput<Schema> | undefined {
  try {
    const result = v.safeParse(schema, JSON.parse(new TextDecoder().decode(bytes)));
    return result.success ? result.output : undefined;
  } catch {
    return undefined;
  }
}
