import { createHash } from "node:crypto";
import * as v from "valibot";
import { OcibundleError } from "../../../errors.ts";
import type { Descriptor } from "../../../oci/descriptor.ts";
import { SizeSchema } from "../../../oci/descriptor.ts";
import { parseDocument } from "../../../oci/document.ts";
import { laterWeightsArtifactType } from "../annotations.ts";
import { quoted, Sha256Schema } from "../weight-entry.ts";
import {
  type ArtifactFormat,
  annotationOf,
  type ExpectedFile,
  fileAt,
  plainType,
  type StoredTar,
  typeOf,
} from "./contents.ts";

// Cog's formats after the bundle of pull request 2676. Both have the artifact type
// `application/vnd.cog.weight.v1`; the layers tell them apart.

const singleLayerType = "application/vnd.cog.weight.layer.v1";
const configType = "application/vnd.cog.weight.config.v1+json";

const SingleConfigSchema = v.looseObject({
  name: v.optional(v.string()),
  target: v.optional(v.string()),
});

/**
 * One manifest per file (Cog 0.17 to 0.19.2, pull request 2695). The layer's type says that it is the
 * file; its bytes are gzip of it unless the file was compressed by itself.
 */
export const cogSingle: ArtifactFormat = {
  name: "cog-single",
  title: "Cog weight, one file",
  needsConfig: true,
  matches: ({ layers }) => layers.some((layer) => typeOf(layer) === singleLayerType),
  list({ layers }, { config, entry, on }) {
    const [layer, ...others] = layers;
    if (layer === undefined || others.length > 0) {
      throw new OcibundleError("file", `${on}: ${layers.length} layers where one is expected`);
    }
    const said = parseDocument(config, SingleConfigSchema, `${on}: config`);
    const of = entry ?? { annotations: {} };
    const name = annotationOf(of, "vnd.cog.weight.name") ?? said.name;
    const dest = annotationOf(of, "vnd.cog.weight.dest") ?? said.target;
    if (name === undefined || dest === undefined) {
      throw new OcibundleError("file", `${on}: the config has no file and no target`);
    }
    const { dest: checked } = fileAt(dest.replace(/^\//, ""), on);
    return { files: [{ name, dest: checked, blob: layer, maybeCompressed: true }], tars: [] };
  },
};

const DirectoryConfigSchema = v.looseObject({
  name: v.string("must be a string"),
  target: v.string("must be a string"),
  setDigest: v.optional(v.string()),
  files: v.array(
    v.looseObject({
      path: v.string("must be a string"),
      layer: Sha256Schema,
      size: SizeSchema,
      digest: Sha256Schema,
    }),
    "must be a list",
  ),
});

/**
 * One manifest per directory (Cog since 0.19.3, pull request 2974). The config lists the files with their
 * digests and the layer of each; layers are tar archives, plain or compressed.
 */
export const cogWeight: ArtifactFormat = {
  name: "cog",
  title: "Cog weight",
  needsConfig: true,
  matches: ({ artifactType, config }) =>
    plainType(artifactType) === laterWeightsArtifactType || typeOf(config) === configType,
  list({ layers }, { config, on }) {
    const said = parseDocument(config, DirectoryConfigSchema, `${on}: config`);
    checkSetDigest(said, on);
    if (!said.target.startsWith("/")) {
      throw new OcibundleError("file", `${on}: target ${quoted(said.target)} must be absolute`);
    }
    const target = said.target.replace(/(?<=.)\/+$/, "");
    const files = Map.groupBy(said.files, (file) => file.layer);
    const byDigest = new Map<string, Descriptor>(layers.map((layer) => [layer.digest, layer]));
    const tars: StoredTar[] = [];
    for (const [digest, listed] of files) {
      const blob = byDigest.get(digest);
      if (blob === undefined) {
        throw new OcibundleError(
          "file",
          `${on}: the config names layer ${digest}, which is missing`,
        );
      }
      const expected = new Map<string, ExpectedFile>();
      for (const { path, size, digest: ofFile } of listed) {
        fileAt(`${target}/${path}`.replace(/^\/+/, ""), on);
        if (expected.has(path)) {
          throw new OcibundleError("file", `${on}: the config lists ${quoted(path)} twice`);
        }
        expected.set(path, { size, digest: ofFile });
      }
      tars.push({ blob, under: target, prefix: `${said.name}/`, expected, overlay: false });
    }
    return { files: [], tars };
  },
};

/**
 * The digest of a set of files: of the lines `<hex>  <path>`, sorted as lines, joined by newlines and
 * with none at the end. (Cog's specification sorts by path; what Cog writes is this.)
 */
export function setDigest(files: readonly { path: string; digest: string }[]): string {
  const lines = files.map(({ path, digest }) => `${digest.replace(/^sha256:/, "")}  ${path}`);
  // By bytes, as Go compares strings.
  lines.sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  return `sha256:${createHash("sha256").update(lines.join("\n")).digest("hex")}`;
}

function checkSetDigest(
  said: { setDigest?: string | undefined; files: readonly { path: string; digest: string }[] },
  on: string,
): void {
  if (said.setDigest === undefined || said.setDigest === setDigest(said.files)) return;
  throw new OcibundleError(
    "integrity",
    `${on}: the set digest is ${quoted(said.setDigest)}, but the files have ${setDigest(said.files)}`,
  );
}
