import { type ErrorCode, LineCounter, parseDocument } from "yaml";
import { OcibundleError } from "../../errors.ts";

/** What is wrong, in our own words: the library's are for who knows its grammar. */
const faults: Readonly<Partial<Record<ErrorCode, string>>> = {
  BAD_ALIAS: "an alias (*name) refers to no anchor (&name)",
  BAD_DQ_ESCAPE: "an invalid escape sequence in a quoted string",
  BAD_INDENT: "the indentation does not match the lines above",
  BAD_SCALAR_START: "a value begins with a reserved character and must be quoted",
  BLOCK_AS_IMPLICIT_KEY: 'a second "key: value" on the same line',
  BLOCK_IN_FLOW: "an indented list or mapping inside [ ] or { }",
  DUPLICATE_KEY: "a key is listed twice",
  KEY_OVER_1024_CHARS: "a key is too long",
  MISSING_CHAR: "a closing quote, bracket, colon or comma is missing",
  MULTILINE_IMPLICIT_KEY: "a key spans several lines: a colon may be missing",
  MULTIPLE_DOCS: "more than one document in the file",
  RESOURCE_EXHAUSTION: "nested too deeply",
  TAB_AS_INDENT: "a tab in the indentation: use spaces",
  TAG_RESOLVE_FAILED: "an unknown tag (!name)",
  UNEXPECTED_TOKEN: "unexpected text",
};

const hint = "correct the file: it must be valid YAML";

/** Reads YAML into plain values; an empty document is an empty mapping. Throws `file`, with the line. */
export function parseYaml(bytes: Uint8Array, on: string): unknown {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new OcibundleError("file", `${on}: not UTF-8 text`, { hint, cause });
  }
  try {
    const lineCounter = new LineCounter();
    const document = parseDocument(text, { lineCounter, logLevel: "error", prettyErrors: false });
    const [error] = document.errors;
    if (error !== undefined) {
      const { line, col } = lineCounter.linePos(error.pos[0]);
      const fault = faults[error.code] ?? "not valid YAML";
      const at = `line ${line}, column ${col}`;
      throw new OcibundleError("file", `${on}: ${at}: ${fault}`, { hint, cause: error });
    }
    // A document can name itself many times over by aliases; the library stops at a hundred.
    return document.toJS({ maxAliasCount: 100 }) ?? {};
  } catch (cause) {
    if (cause instanceof OcibundleError) throw cause;
    throw new OcibundleError("file", `${on}: not a YAML document`, { hint, cause });
  }
}
