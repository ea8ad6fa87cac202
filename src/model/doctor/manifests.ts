import { OcibundleError } from "../../errors.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { digestOf } from "../../oci/digest.ts";
import { parseDocument } from "../../oci/document.ts";
import { ImageIndexSchema, type RawManifest } from "../../oci/manifest.ts";
import { mediaTypes } from "../../oci/media-types.ts";
import type { BlobToMove } from "../../oci/content.ts";
import { registryWriter } from "../../transfer/upload/registry-writer.ts";
import type { TrialDescriptor } from "./body.ts";
import { check, descriptorOf, type DoctorRun, no, reasonToGoOn, yes } from "./check.ts";
import { goJson } from "../format/go-json.ts";
import { modelIndex } from "../format/model-index.ts";
import { layerTypes } from "../format/weight-entry.ts";
import { emptyConfig, emptyConfigBytes, weightsManifest } from "../format/weights-artifact.ts";
import type { Finding } from "../../report/doctor.ts";

/** What refers to the trial's artifact. */
const refererType = "application/vnd.ocibundle.doctor.v1";

const encoder = new TextEncoder();

/** The tag of a trial: of this run alone. */
const trialTag = (mark: string): string => `ocibundle-doctor-${mark}`;

/**
 * Puts a weights artifact, an image index that binds it to an image, and something that refers to it, as
 * a push does. `weight` is a blob that is there; a small one is put where it is undefined.
 */
export async function checkManifests(
  run: DoctorRun,
  weight: TrialDescriptor | undefined,
): Promise<void> {
  let artifact: RawManifest | undefined;
  await check(run, "artifact", async () => {
    const stored = weight ?? (await putSmall(run, "weight"));
    await writeSmall(run, emptyConfigBytes, emptyConfig);
    const made = artifactOf(stored);
    await putChild(run, made);
    artifact = made;
    return yes();
  });
  await check(run, "layers", () => tryLayers(run));
  await check(run, "index", async () => {
    if (artifact === undefined) return no("no weights artifact to reference");
    return bindTogether(run, await putImage(run), artifact);
  });
  await check(run, "referrers", async () => {
    if (artifact === undefined) return no("no manifest to refer to");
    return referTo(run, artifact);
  });
}

/** So many layers are tried, the most that weights in parts have first. */
const layerCounts = [480, 240, 120, 60];

/** How many layers a manifest may have: one that names one small blob many times. */
async function tryLayers(run: DoctorRun): Promise<Finding> {
  const part = await putSmall(run, "part");
  await writeSmall(run, emptyConfigBytes, emptyConfig);
  let refused: string | undefined;
  for (const layers of layerCounts) {
    try {
      await putChild(run, manyLayers(part, layers));
      return refused === undefined
        ? yes({ layers })
        : no(`${refused}; ${layers} layers are accepted`, { layers });
    } catch (error) {
      const reason = await reasonToGoOn(run, error);
      refused ??= reason;
    }
  }
  return no(refused ?? "no manifest was tried");
}

function manyLayers({ digest, size }: TrialDescriptor, count: number): RawManifest {
  const layer = { mediaType: mediaTypes.ociLayer, digest, size };
  const bytes = goJson({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    artifactType: "application/vnd.ocibundle.doctor.layers.v1",
    config: emptyConfig,
    layers: Array.from({ length: count }, () => layer),
  });
  return { mediaType: mediaTypes.ociManifest, digest: digestOf(bytes), bytes };
}

function artifactOf({ digest, size }: TrialDescriptor): RawManifest {
  return weightsManifest([
    {
      name: "ocibundle-doctor",
      dest: "/ocibundle-doctor",
      digest,
      digestOriginal: digest,
      size,
      sizeUncompressed: size,
      mediaType: layerTypes.none,
    },
  ]);
}

/** Puts a few bytes that only this run has. */
export async function putSmall(run: DoctorRun, what: string): Promise<TrialDescriptor> {
  // The end of an archive first: whoever looks into layers finds an empty one.
  const bytes = encoder.encode(`${"\0".repeat(1024)}ocibundle doctor ${run.mark} ${what}`);
  const blob = describe(bytes, mediaTypes.ociLayer);
  await writeSmall(run, bytes, blob);
  return blob;
}

/** The descriptor of bytes that the trial sends. */
export const describe = (bytes: Uint8Array, mediaType: string): TrialDescriptor => ({
  mediaType,
  digest: digestOf(bytes),
  size: bytes.byteLength,
});

/** Writes a small blob, and notes it as one to be removed where it was not there before. */
export async function writeSmall(
  run: DoctorRun,
  bytes: Uint8Array,
  descriptor: Descriptor,
): Promise<void> {
  const { repository, signal, created } = run;
  const writer = registryWriter(repository);
  if (await writer.hasBlob(descriptor, signal)) return;
  if (!created.some(({ name }) => name === descriptor.digest)) note(run, "blob", descriptor);
  const blob: BlobToMove = {
    descriptor,
    label: "trial",
    group: "doctor",
    source: () => Promise.resolve({ kind: "bytes", bytes }),
  };
  await writer.writeBlob(blob, { signal });
}

function note(
  { created, repository }: DoctorRun,
  kind: "manifest" | "blob",
  { digest, size }: Descriptor,
): void {
  created.push({ kind, repository: repository.name, name: digest, bytes: size });
}

/** Puts a manifest by its digest. */
export async function putChild(run: DoctorRun, manifest: RawManifest): Promise<void> {
  const { repository, signal } = run;
  note(run, "manifest", descriptorOf(manifest));
  await repository.putManifest(manifest.digest, manifest, signal);
}

async function putImage(run: DoctorRun): Promise<Descriptor> {
  const layer = await putSmall(run, "layer");
  const platform = { architecture: "amd64", os: "linux" };
  const bytes = goJson({
    ...platform,
    config: { Labels: { "ocibundle.doctor": run.mark } },
    rootfs: { type: "layers", diff_ids: [layer.digest] },
  });
  const config = describe(bytes, mediaTypes.ociConfig);
  await writeSmall(run, bytes, config);
  const manifest = goJson({
    schemaVersion: 2,
    mediaType: mediaTypes.ociManifest,
    config,
    layers: [layer],
  });
  const image = {
    mediaType: mediaTypes.ociManifest,
    digest: digestOf(manifest),
    bytes: manifest,
  };
  await putChild(run, image);
  return { ...descriptorOf(image), platform };
}

async function bindTogether(
  { repository, signal, created, mark }: DoctorRun,
  image: Descriptor,
  weights: RawManifest,
): Promise<Finding> {
  const index = modelIndex({ images: [image], kept: [], weights: [weights] });
  const tag = trialTag(mark);
  const { name } = repository;
  const { digest, bytes } = index;
  created.push({ kind: "manifest", repository: name, name: digest, bytes: bytes.byteLength });
  created.push({ kind: "tag", repository: name, name: tag });
  await repository.putManifest(tag, index, signal);
  const got = await repository.getManifest(tag, signal);
  if (got.digest === digest && Buffer.compare(got.bytes, bytes) === 0) return yes();
  return no("the tag returns different content than was pushed");
}

/** Puts something with a subject, and asks what refers to that. */
async function referTo(run: DoctorRun, subject: RawManifest): Promise<Finding> {
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
