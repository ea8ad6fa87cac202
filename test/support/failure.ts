import { OcibundleError } from "../../src/errors.ts";

/** The error that work fails with. Throws where it succeeds, and what it fails with that is no error for users. */
export async function failureOf(work: Promise<unknown>): Promise<OcibundleError> {
  try {
    await work;
  } catch (error) {
    if (error instanceof OcibundleError) return error;
    throw error;
  }
  throw new Error("it did not fail");
}

/** The error that work fails with, as "code: message". */
export async function failureText(work: Promise<unknown>): Promise<string> {
  const { code, message } = await failureOf(work);
  return `${code}: ${message}`;
}

/** Any error that a promise is rejected with. Throws where it is not rejected, and where that is no `Error`. */
export async function errorOf(promise: Promise<unknown>): Promise<Error> {
  try {
    await promise;
  } catch (error) {
    if (error instanceof Error) return error;
    throw new Error("it rejected with something that is no error", { cause: error });
  }
  throw new Error("it did not reject");
}
