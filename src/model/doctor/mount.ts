import type { Descriptor } from "../../oci/descriptor.ts";
import { isRepositoryName } from "../../oci/reference.ts";
import { check, type DoctorRun, no, notTried, yes } from "./check.ts";
import type { Finding } from "../../report/doctor.ts";

/**
 * Tries to mount a blob into a second repository beside the first. To be done when a manifest names the
 * blob: some registries mount no other.
 */
export async function checkMount(run: DoctorRun, blob: Descriptor | undefined): Promise<void> {
  await check(run, "mount", async () => {
    if (blob === undefined) return notTried("no blob was accepted");
    const { name } = run.repository;
    const other = `${name}-ocibundle-doctor`;
    if (!isRepositoryName(other))
      return notTried("the name of the second repository would be too long");
    return mountInto(run, other, blob);
  });
}

async function mountInto(
  { registry, repository, signal, created }: DoctorRun,
  other: string,
  { digest, size }: Descriptor,
): Promise<Finding> {
  const answer = await registry.ask(
    {
      method: "POST",
      path: `${other}/blobs/uploads/`,
      query: { mount: digest, from: repository.name },
      headers: { "content-length": "0" },
      repositories: [
        { name: other, actions: ["pull", "push"] },
        { name: repository.name, actions: ["pull"] },
      ],
    },
    signal,
  );
  const location = answer.headers.get("location");
  if (answer.status === 202 && location !== null) {
    await registry.repository(other).resumeUpload(location).cancel();
    return no("the registry opens an upload instead of mounting (202)");
  }
  if (answer.status !== 201) return no(answer.said);
  created.push({ kind: "blob", repository: other, name: digest, bytes: size });
  const has = await registry.repository(other).headBlob(digest, signal);
  return has === size ? yes() : no("the registry reports a mount but does not have the blob");
}
