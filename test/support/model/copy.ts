import type { CopyRequest } from "../../../src/model/jobs/copy.ts";

/** What `copy SOURCE TARGET` asks for where no other flag was given. */
export const copyRequest = (
  source: string,
  target: string,
  more: Partial<CopyRequest> = {},
): CopyRequest => ({
  source,
  target,
  platform: undefined,
  referrers: false,
  dryRun: false,
  ...more,
});
