import { env, argv } from "node:process";
const { getLlama, resolveModelFile } = await import(env.LIBRARY);
const [, , original, directory] = argv;
const llama = await getLlama({
  gpu: false,
  build: "never",
  progressLogs: false,
  logLevel: "error",
});
async function generate(modelPath) {
  const model = await llama.loadModel({ modelPath });
  const context = await model.createContext({ contextSize: 64 });
  const sequence = context.getSequence();
  const tokens = [];
  for await (const token of sequence.evaluate(model.tokenize("hello"), { temperature: 0 })) {
    tokens.push(token);
    if (tokens.length === 4) break;
  }
  await model.dispose();
  return tokens.join(" ");
}
const wanted = await generate(original);
for (const uri of ["hf:acme/gguf/tiny-F32.gguf", "hf:acme/gguf:F32"]) {
  const path = await resolveModelFile(uri, {
    directory: `${directory}/${uri.length}`,
    cli: false,
    tokens: { huggingFace: env.HF_TOKEN },
  });
  const got = await generate(path);
  if (got !== wanted) throw new Error(`${uri}: ${got}, from disk ${wanted}`);
}
process.stdout.write(`the same tokens: ${wanted}\n`);
await llama.dispose();
