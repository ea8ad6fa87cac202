import type { Descriptor } from "../../oci/descriptor.ts";
import { digestOf } from "../../oci/digest.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { mediaTypes } from "../../oci/media-types.ts";
import type { BlobToMove } from "../../oci/content.ts";
import { registryWriter } from "../../transfer/upload/registry-writer.ts";
import type { TrialDescriptor } from "./body.ts";
import { descriptorOf, type DoctorRun } from "./check.ts";

const encoder = new TextEncoder();

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

/** Notes what this run puts on the registry, to be removed at the end. */
export function note(
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
