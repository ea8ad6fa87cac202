import { httpFailureOf } from "../http/message/failure.ts";
import { isUnreachable } from "../retry/transient.ts";
import { refusalOf } from "./refusal.ts";

/** What a proxy answers for a registry that is not there. */
const gatewayStatuses: ReadonlySet<number> = new Set([502, 503, 504]);

/** Whether a request failed because the registry can't be reached at all, as where it is being restarted. */
export function isOutage(error: unknown): boolean {
  const status = refusalOf(error)?.status;
  if (status !== undefined) return gatewayStatuses.has(status);
  const failure = httpFailureOf(error);
  return failure !== undefined && isUnreachable(failure);
}
