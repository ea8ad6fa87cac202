import type { TensorFile } from "../../../src/model/tensors/read-at.ts";

/** A tensor by its name and its size in bytes. */
export type Sized = readonly [name: string, bytes: number];

interface Shape {
  hidden: number;
  inter: number;
  layers: number;
  heads: number;
  keys: number;
  vocabulary: number;
  head?: number;
  /** Of each layer's q, k and v. */
  biases?: boolean;
  /** Norms of q and k. */
  headNorms?: boolean;
  experts?: { count: number; names: readonly string[]; module: string; router: string };
}

/** The tensors of a decoder in bf16, as its public configuration makes them. */
export function decoder(shape: Shape): Sized[] {
  const { hidden, inter, layers, heads, keys, vocabulary, head = 128, experts } = shape;
  const tensors: Sized[] = [];
  const add = (name: string, ...sides: number[]) =>
    tensors.push([name, 2 * sides.reduce((product, side) => product * side, 1)]);
  add("model.embed_tokens.weight", vocabulary, hidden);
  for (let layer = 0; layer < layers; layer += 1) {
    const at = `model.layers.${layer}`;
    add(`${at}.self_attn.q_proj.weight`, heads * head, hidden);
    add(`${at}.self_attn.k_proj.weight`, keys * head, hidden);
    add(`${at}.self_attn.v_proj.weight`, keys * head, hidden);
    add(`${at}.self_attn.o_proj.weight`, hidden, heads * head);
    if (shape.biases === true) {
      add(`${at}.self_attn.q_proj.bias`, heads * head);
      add(`${at}.self_attn.k_proj.bias`, keys * head);
      add(`${at}.self_attn.v_proj.bias`, keys * head);
    }
    if (shape.headNorms === true) {
      add(`${at}.self_attn.q_norm.weight`, head);
      add(`${at}.self_attn.k_norm.weight`, head);
    }
    if (experts === undefined) {
      for (const name of ["gate_proj", "up_proj", "down_proj"]) {
        add(`${at}.mlp.${name}.weight`, inter, hidden);
      }
    } else {
      add(`${at}.${experts.router}.weight`, experts.count, hidden);
      for (let expert = 0; expert < experts.count; expert += 1) {
        for (const name of experts.names) {
          add(`${at}.${experts.module}.${expert}.${name}.weight`, inter, hidden);
        }
      }
    }
    add(`${at}.input_layernorm.weight`, hidden);
    add(`${at}.post_attention_layernorm.weight`, hidden);
  }
  add("model.norm.weight", hidden);
  add("lm_head.weight", vocabulary, hidden);
  return byName(tensors);
}

/** As files of safetensors have them. */
const byName = (tensors: readonly Sized[]): Sized[] =>
  tensors.toSorted(([a], [b]) => (a < b ? -1 : 1));

const q4 = (values: number): number => (values / 256) * 144;
const q6 = (values: number): number => (values / 256) * 210;

/** The decoder of Llama-3.1-8B as llama.cpp quantises it to Q4_K_M: half of two kinds of tensors is Q6_K. */
function llamaGguf(): Sized[] {
  const tensors: Sized[] = [];
  tensors.push(["token_embd.weight", q4(128256 * 4096)]);
  for (let layer = 0; layer < 32; layer += 1) {
    const at = `blk.${layer}`;
    const more = layer < 4 || layer >= 28 || (layer - 4) % 3 === 2 ? q6 : q4;
    tensors.push(
      [`${at}.attn_norm.weight`, 4 * 4096],
      [`${at}.ffn_down.weight`, more(14336 * 4096)],
      [`${at}.ffn_gate.weight`, q4(14336 * 4096)],
      [`${at}.ffn_up.weight`, q4(14336 * 4096)],
      [`${at}.ffn_norm.weight`, 4 * 4096],
      [`${at}.attn_k.weight`, q4(1024 * 4096)],
      [`${at}.attn_output.weight`, q4(4096 * 4096)],
      [`${at}.attn_q.weight`, q4(4096 * 4096)],
      [`${at}.attn_v.weight`, more(1024 * 4096)],
    );
  }
  tensors.push(
    ["output_norm.weight", 4 * 4096],
    ["output.weight", q6(128256 * 4096)],
    ["rope_freqs.weight", 4 * 64],
  );
  return tensors;
}

/** Model L of the scenarios: like Llama, with 291 tensors of about a gigabyte together. */
export const modelL = (): Sized[] =>
  decoder({ hidden: 1024, inter: 3584, layers: 32, heads: 8, keys: 2, vocabulary: 32064 });

/** The models whose numbers of parts pin the rule. */
export const shapes = {
  "Qwen2.5-7B": () =>
    decoder({
      hidden: 3584,
      inter: 18944,
      layers: 28,
      heads: 28,
      keys: 4,
      vocabulary: 152064,
      biases: true,
    }),
  "Llama-3.1-8B": () =>
    decoder({ hidden: 4096, inter: 14336, layers: 32, heads: 32, keys: 8, vocabulary: 128256 }),
  "Llama-3.1-8B, GGUF Q4_K_M": llamaGguf,
  "Qwen3-32B": () =>
    decoder({
      hidden: 5120,
      inter: 25600,
      layers: 64,
      heads: 64,
      keys: 8,
      vocabulary: 151936,
      headNorms: true,
    }),
  "Llama-3.1-70B": () =>
    decoder({ hidden: 8192, inter: 28672, layers: 80, heads: 64, keys: 8, vocabulary: 128256 }),
  "Mixtral-8x7B": () =>
    decoder({
      hidden: 4096,
      inter: 14336,
      layers: 32,
      heads: 32,
      keys: 8,
      vocabulary: 32000,
      experts: {
        count: 8,
        names: ["w1", "w2", "w3"],
        module: "block_sparse_moe.experts",
        router: "block_sparse_moe.gate",
      },
    }),
  "Qwen3-30B-A3B": () =>
    decoder({
      hidden: 2048,
      inter: 768,
      layers: 48,
      heads: 32,
      keys: 4,
      vocabulary: 151936,
      headNorms: true,
      experts: {
        count: 128,
        names: ["gate_proj", "up_proj", "down_proj"],
        module: "mlp.experts",
        router: "mlp.gate",
      },
    }),
  "Llama-3.1-405B": () =>
    decoder({ hidden: 16384, inter: 53248, layers: 126, heads: 128, keys: 8, vocabulary: 128256 }),
} as const;

/** A file of these tensors, one after another behind a header of so many bytes. */
export function fileOf(
  tensors: readonly Sized[],
  headerBytes = 32_000,
): TensorFile & { size: number } {
  let front = headerBytes;
  const placed = tensors.map(([name, bytes]) => {
    const start = front;
    front += bytes;
    return { name, dtype: undefined, shape: undefined, start, end: front };
  });
  return {
    format: "safetensors",
    header: [{ start: 0, end: headerBytes }],
    tensors: placed,
    size: front,
  };
}
