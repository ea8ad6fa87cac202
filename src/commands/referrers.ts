import { defineCommand } from "../cli/command.ts";
import { listAllReferrers, referrersFailure } from "../model/jobs/referrers.ts";
import { referrersTree } from "../ui/referrers-report.ts";

/** Reports a `ReferrerListing`. Fails after it where a referrer could not be read. */
export const command = defineCommand({
  meta: {
    name: "referrers",
    description: "List signatures, SBOMs and other artifacts that refer to a manifest",
    example: [
      "ocibundle referrers registry.example.com/acme/llama:v1",
      "ocibundle referrers oci:./model --json",
    ],
  },
  args: {
    ref: {
      type: "positional",
      description: "Registry reference, oci:DIR[:TAG] or oci-archive:FILE[:TAG]",
    },
  },
  run: ({ ref }, context) => listAllReferrers(context, ref),
  text: referrersTree,
  failure: referrersFailure,
});
