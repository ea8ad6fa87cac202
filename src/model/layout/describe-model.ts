import * as v from "valibot";
import { recordOf } from "../../oci/open-schemas.ts";
import { blobBytes } from "../../store/blob-chunks.ts";
import { describeGguf } from "../tensors/gguf.ts";
import type { PlacedFile } from "./original-file.ts";

/** What files say of a model; what none says is absent. Names as ModelPack's config has them. */
export interface ModelDescription {
  name?: string;
  licenses?: string[];
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

const HeaderSchema = recordOf(
  v.string(),
  v.looseObject({
    dtype: v.optional(v.string()),
    shape: v.optional(v.array(v.pipe(v.number(), v.safeInteger(), v.minValue(0)))),
  }),
);

/** Larger documents are no configuration of a model. */
const maxDocument = 1024 * 1024;
const maxHeader = 16 * 1024 * 1024;
const maxCard = 64 * 1024;

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
    if (dtype !== undefined) description.precision = precisions.get(dtype) ?? dtype;
    if (quantization !== undefined) description.quantization = quantization;
  }
  const tensors = await tensorsOf(files, signal);
  const gguf = await ggufOf(files, signal);
  const count = tensors.parameters > 0 ? tensors.parameters : (gguf?.parameters ?? 0);
  const license = (await licenseOf(files, signal)) ?? gguf?.license;
  return defined({
    name: gguf?.name,
    licenses: license === undefined ? undefined : [license],
    ...description,
    family: description.family ?? gguf?.architecture,
    architecture: description.architecture ?? gguf?.architecture,
    precision: description.precision ?? tensors.precision ?? gguf?.precision,
    quantization: description.quantization ?? gguf?.quantization,
    // A header can say anything.
    paramSize: count > 0 && Number.isSafeInteger(count) ? shortCount(count) : undefined,
  });
}

const defined = (description: {
  [Member in keyof ModelDescription]: ModelDescription[Member] | undefined;
}): ModelDescription =>
  Object.fromEntries(Object.entries(description).filter(([, value]) => value !== undefined));

/** `general.file_type` of GGUF: what most tensors are stored as. */
const fileTypes: Readonly<Record<number, string>> = {
  0: "F32",
  1: "F16",
  2: "Q4_0",
  3: "Q4_1",
  7: "Q8_0",
  8: "Q5_0",
  9: "Q5_1",
  10: "Q2_K",
  11: "Q3_K_S",
  12: "Q3_K_M",
  13: "Q3_K_L",
  14: "Q4_K_S",
  15: "Q4_K_M",
  16: "Q5_K_S",
  17: "Q5_K_M",
  18: "Q6_K",
  32: "BF16",
};

/** What the first GGUF file says that is not a projector. */
async function ggufOf(files: readonly PlacedFile[], signal: AbortSignal) {
  const file = files.find(({ path }) => /\.gguf$/i.test(path) && !/mmproj/i.test(path));
  if (file === undefined) return undefined;
  const read = (at: number, length: number) =>
    bytesOf(file, at, Math.min(file.size, at + length), signal);
  const said = await describeGguf(read, file.size);
  if (said === undefined) return undefined;
  const type = fileTypes[said.fileType ?? -1];
  const text = (key: string): string | undefined =>
    shortText(said.texts.get(`general.${key}`) ?? "");
  return {
    name: text("name"),
    license: text("license"),
    architecture: text("architecture"),
    parameters: said.parameters,
    precision: type === undefined ? undefined : dtypes.get(type),
    quantization: type?.startsWith("Q") === true ? type : undefined,
  };
}

/** Text that is fit to be said of a model; undefined for what is empty, long, or has control characters. */
const shortText = (text: string): string | undefined =>
  text === "" || text.length > 256 || /\p{Cc}/u.test(text) ? undefined : text;

/** The licence that a model card has in front of its text. */
async function licenseOf(
  files: readonly PlacedFile[],
  signal: AbortSignal,
): Promise<string | undefined> {
  const card = files.find(({ path }) => path === "README.md");
  if (card === undefined) return undefined;
  const bytes = await bytesOf(card, 0, Math.min(card.size, maxCard), signal);
  const [, front] = /^---\r?\n(.*?)\r?\n---/s.exec(new TextDecoder().decode(bytes)) ?? [];
  const [, license] = /^license:[ \t]*["']?([A-Za-z0-9.+-]+)["']?[ \t]*$/m.exec(front ?? "") ?? [];
  return license === undefined ? undefined : shortText(license);
}

/** Types of tensors that ModelPack calls a precision. */
const dtypes: ReadonlyMap<string, string> = new Map(
  Object.entries({
    BF16: "bf16",
    F16: "fp16",
    F32: "fp32",
    F64: "fp64",
    F8_E4M3: "fp8",
    F8_E5M2: "fp8",
  }),
);

const precisions: ReadonlyMap<string, string> = new Map(
  Object.entries({
    bfloat16: "bf16",
    float16: "fp16",
    float32: "fp32",
    float64: "fp64",
  }),
);

/** What the headers of safetensors files say: values in all, and the precision of most of them. */
async function tensorsOf(
  files: readonly PlacedFile[],
  signal: AbortSignal,
): Promise<{ parameters: number; precision: string | undefined }> {
  const counts = new Map<string, number>();
  for (const file of files) {
    if (!/\.safetensors$/i.test(file.path) || file.size < 8) continue;
    const start = await bytesOf(file, 0, 8, signal);
    if (start.length < 8) continue;
    const length = Number(new DataView(start.buffer).getBigUint64(0, true));
    if (length > Math.min(maxHeader, file.size - 8)) continue;
    const header = parsed(HeaderSchema, await bytesOf(file, 8, 8 + length, signal));
    for (const { shape, dtype = "" } of Object.values(header ?? {})) {
      if (shape === undefined) continue;
      const values = shape.reduce((product, size) => product * size, 1);
      counts.set(dtype, (counts.get(dtype) ?? 0) + values);
    }
  }
  const [most] = [...counts].toSorted(([, a], [, b]) => b - a);
  const parameters = [...counts.values()].reduce((sum, count) => sum + count, 0);
  return { parameters, precision: dtypes.get(most?.[0] ?? "") };
}

/** `8b`, `270m`: three digits at most. */
function shortCount(count: number): string {
  const [unit, size] = count >= 1e9 ? ["b", 1e9] : count >= 1e6 ? ["m", 1e6] : ["k", 1e3];
  return `${Number((count / size).toPrecision(2))}${unit}`;
}

const bytesOf = async (
  file: PlacedFile,
  start: number,
  end: number,
  signal: AbortSignal,
): Promise<Uint8Array<ArrayBuffer>> => blobBytes(await file.source(signal), { start, end }, signal);

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
