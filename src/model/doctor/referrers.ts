import { OcibundleError } from "../../errors.ts";
import { digestOf } from "../../oci/digest.ts";
import { parseDocument } from "../../oci/document.ts";
import { ImageIndexSchema, type RawManifest } from "../../oci/manifest.ts";
import { mediaTypes } from "../../oci/media-types.ts";
import { descriptorOf, type DoctorRun, no, yes } from "./check.ts";
import { goJson } from "../format/go-json.ts";
import { emptyConfig } from "../format/weights-artifact.ts";
import type { Finding } from "../../report/doctor.ts";
import { note } from "./trial-objects.ts";

/** What refers to the trial's artifact. */
const refererType = "application/vnd.ocibundle.doctor.v1";

/** Puts something with a subject, and asks what refers to that. */
export async function referTo(run: DoctorRun, subject: RawManifest): Promise<Finding> {
  const { registry, repository, signal } = run;
  const bytes = goJson({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: refererType,
    config: emptyConfig,
    layers: [emptyConfig],
    subject: descriptorOf(subject),
  });
  const referrer = { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes };
  note(run, "manifest", descriptorOf(referrer));
  // Not by `putManifest`: that would keep the tag that stands in for the API.
  const put = await registry.ask(
    {
      method: "PUT",
      path: `${repository.name}/manifests/${referrer.digest}`,
      headers: { "content-type": referrer.mediaType },
      body: bytes,
      repositories: [{ name: repository.name, actions: ["pull", "push"] }],
    },
    signal,
  );
  if (put.status >= 300) return no(`a manifest with a subject is rejected: ${put.said}`);

  const list = async (type?: string) =>
    registry.ask(
      {
        method: "GET",
        path: `${repository.name}/referrers/${subject.digest}`,
        headers: { accept: mediaTypes.ociIndex },
        repositories: [{ name: repository.name, actions: ["pull"] }],
        ...(type === undefined ? {} : { query: { artifactType: type } }),
      },
      signal,
    );
  const all = await list();
  if (all.status !== 200) return no(all.said);
  const on = "the list of referrers";
  const listed = parseDocument(all.bytes, ImageIndexSchema, on, "network").manifests;
  if (!listed.some(({ digest }) => digest === referrer.digest)) {
    return no("the list lacks the manifest just pushed");
  }
  const filtered = await list("application/vnd.ocibundle.other.v1");
  return yes({ filters: filtered.status === 200 && isEmptyList(filtered.bytes) });
}

function isEmptyList(bytes: Uint8Array): boolean {
  try {
    const { manifests } = parseDocument(bytes, ImageIndexSchema, "the list", "network");
    return manifests.length === 0;
  } catch (error) {
    if (error instanceof OcibundleError) return false;
    throw error;
  }
}
