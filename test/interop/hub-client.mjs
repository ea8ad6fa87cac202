// What a client of the Hub does with a model, with @huggingface/hub.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { env, argv } from "node:process";

const { downloadFile, fileExists, listFiles, pathsInfo, snapshotDownload } = await import(
  env.LIBRARY
);
const [, , original, cacheDir] = argv;
const hubUrl = env.HF_ENDPOINT;
const accessToken = env.HF_TOKEN;
const repo = { type: "model", name: "Acme/Tiny" };
const options = { repo, hubUrl, accessToken };

const files = [];
for await (const { type, path } of listFiles({ ...options, recursive: true })) {
  if (type === "file") files.push(path);
}
const directory = await snapshotDownload({ ...options, cacheDir, silent: true });
for (const path of files) {
  assert(readFileSync(join(directory, path)).equals(readFileSync(join(original, path))), path);
}
assert.equal(await fileExists({ ...options, path: "config.json" }), true);
assert.equal(await fileExists({ ...options, path: "nope" }), false);
const found = await pathsInfo({ ...options, paths: ["onnx", "config.json", "nope"] });
assert.deepEqual(found.map(({ path }) => path).toSorted(), ["config.json", "onnx"]);
assert.equal(await downloadFile({ ...options, path: "nope" }), null);
process.stdout.write(`${files.length} files\n`);
