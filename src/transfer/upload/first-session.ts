import { OcibundleError } from "../../errors.ts";
import { outageReason } from "../../registry/outage.ts";
import type { Repository } from "../../registry/types.ts";
import { retryCounter } from "../../retry/retry-counter.ts";
import type { UploadRunOptions } from "./upload-context.ts";
import { newSession, type OpenedSession } from "./upload-session.ts";

/** Opens the first session of an upload; waits through an outage that other uploads ran into. Throws as `newSession`. */
export async function firstSession(
  repository: Repository,
  { signal, traits, ...options }: UploadRunOptions,
): Promise<OpenedSession> {
  const counter = retryCounter({ ...options, contact: traits?.contact });
  for (;;) {
    try {
      const session = await newSession(repository, signal);
      counter.noteContact();
      return session;
    } catch (error) {
      const reason = outageReason(error);
      if (!(error instanceof OcibundleError) || reason === undefined) throw error;
      counter.count();
      await counter.waitOutage(error, signal, reason);
    }
  }
}
