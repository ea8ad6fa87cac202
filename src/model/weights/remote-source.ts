import { OcibundleError } from "../../errors.ts";
import { quoted } from "../format/weight-entry.ts";

const hints: Readonly<Record<string, string>> = {
  hf: "download it first, as `hf download ORG/MODEL --local-dir ./weights`, then name that directory",
  s3: "download it first, as `aws s3 sync s3://BUCKET/PREFIX ./weights`, then name that directory",
  gs: "download it first, as `gcloud storage rsync -r gs://BUCKET/PREFIX ./weights`, then name that directory",
};

const otherHint = "download it first, then name the file or the directory";

/** Refuses a URI where a path is wanted: weights are read from this machine. Throws `usage`. */
export function refuseUri(text: string): void {
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text)?.[1]?.toLowerCase();
  if (scheme === undefined) return;
  const name = scheme === "huggingface" ? "hf" : scheme;
  const hint = name === "file" ? "name the path itself" : (hints[name] ?? otherHint);
  throw new OcibundleError(
    "usage",
    `${quoted(text)} is not a local path: weights are read from files on this machine only`,
    { hint },
  );
}
