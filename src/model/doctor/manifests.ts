import type { Descriptor } from "../../oci/descriptor.ts";
import { digestOf } from "../../oci/digest.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { mediaTypes } from "../../oci/media-types.ts";
import type { TrialDescriptor } from "./body.ts";
import { check, descriptorOf, type DoctorRun, no, reasonToGoOn, yes } from "./check.ts";
import { goJson } from "../format/go-json.ts";
import { modelIndex } from "../format/model-index.ts";
import { layerTypes } from "../format/weight-entry.ts";
import { emptyConfig, emptyConfigBytes, weightsManifest } from "../format/weights-artifact.ts";
import type { Finding } from "../../report/doctor.ts";
import { putSmall, describe, writeSmall, putChild } from "./trial-objects.ts";
import { referTo } from "./referrers.ts";

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

/** So many layers are tried: the most that weights in parts have first, and the least of `--most-parts` last. */
const layerCounts = [480, 240, 120, 60, 16];

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
