import { OcibundleError } from "../../errors.ts";

/** For hints. */
export const sourceForms =
  "use docker-daemon:NAME:TAG, docker-archive:FILE, oci:DIR[:TAG], oci-archive:FILE[:TAG], docker://REFERENCE, or a name";

type Hint = (rest: string) => string;

const layout: Hint = (rest) => `use oci:${rest} for an OCI image layout`;
const layoutOrArchive: Hint = (rest) =>
  `use oci:${rest} for a layout, oci-archive:${rest} or docker-archive:${rest} for an archive`;
const archive: Hint = (rest) => `use oci-archive:${rest} or docker-archive:${rest}`;
const engine: Hint = () =>
  "use docker-daemon:NAME:TAG with the engine's socket, or push the image with its own tool";

/** Prefixes of skopeo, podman, oras, regctl and crane that are none here. */
const hints: Readonly<Record<string, Hint>> = {
  dir: layoutOrArchive,
  file: layoutOrArchive,
  ocidir: layout,
  "oci-layout": layout,
  "oci-tar": archive,
  "docker-tar": archive,
  tarball: archive,
  "containers-storage": engine,
  "docker-storage": engine,
  containerd: engine,
  sif: engine,
  ostree: engine,
  atomic: engine,
};

/**
 * Refuses a source of another tool's by its prefix: taken for a reference, `dir:x` would be an image on
 * Docker Hub. Throws `usage`.
 */
export function refuseForeign(text: string): void {
  const [, prefix = "", rest = ""] = /^([a-z-]+):(.*)$/s.exec(text) ?? [];
  const hint = Object.hasOwn(hints, prefix) && !rest.startsWith("//") ? hints[prefix] : undefined;
  if (hint === undefined) return;
  const isTag = /^\w[\w.-]*$/.test(rest);
  const named = isTag ? `; for the repository "${prefix}" write docker://${text}` : "";
  throw new OcibundleError("usage", `"${text}": "${prefix}:" is not supported`, {
    hint: `${hint(rest)}${named}`,
  });
}
