import { expect, test } from "bun:test";
import * as fc from "fast-check";
import { OcibundleError } from "../../../src/errors.ts";
import { formatHubUri, isHubUri, parseHubUri } from "../../../src/hub/uri.ts";
import { isSafePath } from "../../../src/remote/path.ts";
import { runs } from "../../support/property-runs.ts";

test.each([
  ["hf://acme/llama", "acme/llama", "main", ""],
  ["hf://acme/llama/", "acme/llama", "main", ""],
  ["huggingface://acme/Llama-3.1_8B", "acme/Llama-3.1_8B", "main", ""],
  ["hf://models/acme/llama@v1", "acme/llama", "v1", ""],
  ["hf://acme/llama@v1/original", "acme/llama", "v1", "original"],
  ["hf://acme/llama/a/b.bin", "acme/llama", "main", "a/b.bin"],
  ["hf://acme/llama@refs/pr/12/a.bin", "acme/llama", "refs/pr/12", "a.bin"],
  ["hf://acme/llama@feature%2Fx/a.bin", "acme/llama", "feature/x", "a.bin"],
  ["hf://gpt2", "gpt2", "main", ""],
  ["hf://gpt2@main/config.json", "gpt2", "main", "config.json"],
  ["hf://acme/llama/a@b", "acme/llama", "main", "a@b"],
])("%s", (text, model, revision, path) => {
  expect(parseHubUri(text)).toEqual({ model, revision, path });
});

test.each([
  "hf://",
  "hf:///x",
  "hf://datasets/a/b",
  "hf://a/b@",
  "hf://a/b@../x",
  "hf://a/b@%zz",
  "hf://a/../b",
  "hf://a/b/../c",
  "hf://a/b//c",
  "hf://user:secret@host/b",
  "hf://a/b\n",
])("%j is refused", (text) => {
  expect(() => parseHubUri(text)).toThrow(OcibundleError);
});

test("whatever is read names a model, a revision and a path below it, and is read again as the same", () => {
  fc.assert(
    fc.property(fc.oneof(fc.string(), fc.stringMatching(/^[a-z@/.%]{0,20}$/)), (rest) => {
      const text = `hf://${rest}`;
      expect(isHubUri(text)).toBe(true);
      let address;
      try {
        address = parseHubUri(text);
      } catch (error) {
        expect(error).toBeInstanceOf(OcibundleError);
        return;
      }
      expect(address.model).toMatch(/^[\w.-]+(?:\/[\w.-]+)?$/);
      expect(address.path === "" || isSafePath(address.path)).toBe(true);
      const pinned = { ...address, revision: "0".repeat(40) };
      if (address.path === "" || address.model.includes("/")) {
        expect(parseHubUri(formatHubUri(pinned))).toEqual(pinned);
      }
    }),
    runs,
  );
});
