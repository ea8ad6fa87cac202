import { httpFailureOf } from "../http/message/failure.ts";
import { isUnreachable } from "../retry/transient.ts";
import { refusalOf } from "./refusal.ts";

/** What a proxy answers for a registry that is not there. */
const gatewayStatuses: ReadonlySet<number> = new Set([502, 503, 504]);

/**
 * Why a registry can't be reached at all, as where it is being restarted, in a few words (`connection refused`);
 * undefined where a request failed for another reason.
 */
export function outageReason(error: unknown): string | undefined {
  const status = refusalOf(error)?.status;
  if (status !== undefined) return gatewayStatuses.has(status) ? `status ${status}` : undefined;
  const failure = httpFailureOf(error);
  return failure !== undefined && isUnreachable(failure) ? failure.message : undefined;
}
