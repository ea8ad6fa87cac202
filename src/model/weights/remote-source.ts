import { OcibundleError } from "../../errors.ts";
import { quoted } from "../format/weight-entry.ts";

const hints: Readonly<Record<string, string>> = {
  s3: "download it first, as `aws s3 sync s3://BUCKET/PREFIX ./weights`, then name that directory",
  gs: "download it first, as `gcloud storage rsync -r gs://BUCKET/PREFIX ./weights`, then name that directory",
};

const otherHint = "download it first, then name the file or directory";

/** Refuses a URI where a path is wanted. Throws `usage`. */
export function refuseUri(text: string): void {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return;
  const isHub = scheme === "hf" || scheme === "huggingface";
  const hint =
    scheme === "file"
      ? "name the path itself"
      : isHub
        ? "name a model where directories are named, as `ocibundle lock hf://ORG/MODEL`"
        : (hints[scheme] ?? otherHint);
  throw new OcibundleError(
    "usage",
    `${quoted(text)} is not a local path, and only hf:// models are read from elsewhere`,
    { hint },
  );
}
