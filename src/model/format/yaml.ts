import { LineCounter, parseDocument } from "yaml";
import { OcibundleError } from "../../errors.ts";

/** Reads YAML into plain values; an empty document is an empty mapping. Throws `file`, with the line. */
export function parseYaml(bytes: Uint8Array, on: string): unknown {
  try {
    const text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
    const lineCounter = new LineCounter();
    const document = parseDocument(text, { lineCounter, logLevel: "error", prettyErrors: false });
    const [error] = document.errors;
    if (error !== undefined) {
      const { line, col } = lineCounter.linePos(error.pos[0]);
      throw new OcibundleError("file", `${on}: line ${line}, column ${col}: ${error.message}`);
    }
    // A document can name itself many times over by aliases; the library stops at a hundred.
    return document.toJS({ maxAliasCount: 100 }) ?? {};
  } catch (cause) {
    if (cause instanceof OcibundleError) throw cause;
    throw new OcibundleError("file", `${on}: not a YAML document`, { cause });
  }
}
