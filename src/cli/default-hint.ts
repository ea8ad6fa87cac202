import { causesOf, type ErrorCode, OcibundleError } from "../errors.ts";
import { readingHint } from "../runtime/file-faults.ts";

/** What helps against most failures of a kind. */
const hints: Readonly<Partial<Record<ErrorCode, string>>> = {
  network: "run the command again; with -v, it logs each request",
  integrity: "run `ocibundle verify` on the source for details, then push or copy it again",
};

/** What to do about a failure whose error does not say it itself: by what the system answered, or by its kind. */
export function defaultHint(error: unknown, code: ErrorCode): string | undefined {
  for (const cause of causesOf(error)) {
    const hint = cause instanceof OcibundleError ? undefined : readingHint(cause);
    if (hint !== undefined) return hint;
  }
  return hints[code];
}
