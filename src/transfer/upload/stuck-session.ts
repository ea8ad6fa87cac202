/**
 * Notices a session that does not get further: some registries answer 500 to every request of a session
 * after one to it broke off, and say all the same how far it is.
 */
export interface StuckSession {
  /** One more failure, with the registry's status where it answered. True when the session is to be dropped. */
  failed(position: number, status: number | undefined): boolean;
}

/** Failures at one place after which a session is dropped: an answer of 500 is hardly an outage. */
const most = (status: number | undefined): number => (status === 500 ? 2 : 4);

/** Watches one upload for failures that repeat at one position. */
export function stuckSession(): StuckSession {
  let at = -1;
  let failures = 0;
  return {
    failed(position, status) {
      failures = position === at ? failures + 1 : 1;
      at = position;
      if (failures < most(status)) return false;
      at = -1;
      return true;
    },
  };
}
