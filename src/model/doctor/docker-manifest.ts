import { digestOf } from "../../oci/digest.ts";
import { mediaTypes } from "../../oci/media-types.ts";
import { goJson } from "../format/go-json.ts";
import { type DoctorRun, yes } from "./check.ts";
import { describe, putChild, putSmall, writeSmall } from "./trial-objects.ts";
import type { Finding } from "../../report/doctor.ts";

/** A layer of Docker's, gzip or not: registries do not look inside. */
const layerType = "application/vnd.docker.image.rootfs.diff.tar.gzip";

/** Puts an image with Docker's media types, as Docker pushes it. Some registries take only OCI's. */
export async function putDockerImage(run: DoctorRun): Promise<Finding> {
  const layer = { ...(await putSmall(run, "docker layer")), mediaType: layerType };
  const bytes = goJson({
    architecture: "amd64",
    os: "linux",
    config: { Labels: { "ocibundle.doctor": run.mark } },
    rootfs: { type: "layers", diff_ids: [layer.digest] },
    history: [],
  });
  const config = describe(bytes, mediaTypes.dockerConfig);
  await writeSmall(run, bytes, config);
  const mediaType = mediaTypes.dockerManifest;
  const manifest = goJson({ schemaVersion: 2, mediaType, config, layers: [layer] });
  await putChild(run, { mediaType, digest: digestOf(manifest), bytes: manifest });
  return yes();
}
