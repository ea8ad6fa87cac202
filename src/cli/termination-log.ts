import { Buffer } from "node:buffer";
import { errno } from "../errors.ts";
import { faultReason } from "../runtime/file-faults.ts";
import { overwriteFileSync, readableMode, replaceFileWith } from "../runtime/own-file.ts";

/** Where Kubernetes reads why a container ended, unless its manifest says otherwise (`terminationMessagePath`). */
const usualPath = "/dev/termination-log";

/** What Kubernetes takes of it, in bytes. */
const maxBytes = 4096;

/**
 * Writes why a run failed to where Kubernetes shows it: the file of `OCIBUNDLE_TERMINATION_LOG`, else
 * /dev/termination-log where a container has that. Returns a warning where a file that was named can't be
 * written. Never throws.
 */
export function writeTerminationMessage(
  { message, hint }: { message: string; hint: string | undefined },
  env: Readonly<Record<string, string | undefined>>,
  defaultPath = usualPath,
): string | undefined {
  const named = env["OCIBUNDLE_TERMINATION_LOG"];
  const path = named || defaultPath;
  const text = cut(hint === undefined ? `${message}\n` : `${message}\nhint: ${hint}\n`);
  try {
    if (overwriteFileSync(path, text)) return undefined;
    return named ? `cannot write "${path}": it is not a regular file` : undefined;
  } catch (error) {
    if (!named) return undefined;
    if (errno(error) !== "ENOENT") return `cannot write "${path}": ${faultReason(error)}`;
  }
  try {
    replaceFileWith(path, text, readableMode);
    return undefined;
  } catch (error) {
    return `cannot write "${path}": ${faultReason(error)}`;
  }
}

/** The text, cut between two characters where it is longer than what is shown. */
function cut(text: string): string {
  if (Buffer.byteLength(text) <= maxBytes) return text;
  return new TextDecoder().decode(Buffer.from(text).subarray(0, maxBytes), { stream: true });
}
