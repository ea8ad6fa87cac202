/**
 * The HTTP status of a registry's answer behind an error, or undefined when there was no answer.
 */
export function refusalStatus(error: unknown): number | undefined {
  for (let depth = 0; depth < 8 && typeof error === "object" && error !== null; depth += 1) {
    const { status, cause } = error as { status?: unknown; cause?: unknown };
    if (typeof status === "number") return status;
    error = cause;
  }
  return undefined;
}
