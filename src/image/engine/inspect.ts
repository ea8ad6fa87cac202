import { Buffer } from "node:buffer";
import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import { DigestSchema } from "../../oci/digest.ts";
import { maxManifestBytes, parseDocument } from "../../oci/document.ts";
import { type Platform, writtenPlatform } from "../../oci/platform.ts";
import { type EngineImage, formatEngineImage } from "../source/source.ts";
import { type EngineClient, nameOf } from "./client.ts";

/** What is used of `GET /images/NAME/json`. */
const InspectSchema = v.looseObject({
  /** The digest of the config, or with containerd's image store that of a manifest or index. */
  Id: DigestSchema,
  /** Diff IDs. */
  RootFS: v.nullish(v.looseObject({ Layers: v.nullish(v.array(DigestSchema)) })),
});

/** What an engine says of an image. */
export interface InspectedImage extends v.InferOutput<typeof InspectSchema> {
  /** The parameters of an export that is to hold this platform only, or nothing. */
  query: string;
}

/** Asks an engine for an image, by name or ID. Throws `not_found`, `denied`, `network`. */
export async function inspectImage(
  client: EngineClient,
  image: EngineImage,
  platform: Platform | undefined,
  signal: AbortSignal,
): Promise<InspectedImage> {
  const name = formatEngineImage(image);
  const path = `/images/${encodeURI(name)}`;
  const answer = await client.get(`${path}/json`, signal).catch((error: unknown) => {
    throw lacksImage(client, name, error);
  });
  const inspected = await parseImage(answer.body, name);
  const query = platformQuery(platform, answer.apiVersion);
  if (query === "") return { ...inspected, query };
  const chosen = await client.get(`${path}/json${query}`, signal);
  return { ...(await parseImage(chosen.body, name)), query };
}

function lacksImage({ endpoint }: EngineClient, name: string, cause: unknown): unknown {
  if (!(cause instanceof OcibundleError) || cause.code !== "not_found") return cause;
  return new OcibundleError("not_found", `${nameOf(endpoint)}: no image "${name}"`, {
    hint: "run `docker images` to list images",
    cause,
  });
}

async function parseImage(body: AsyncIterable<Uint8Array>, name: string) {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    chunks.push(new Uint8Array(chunk));
    size += chunk.byteLength;
    if (size > maxManifestBytes) {
      throw new OcibundleError(
        "network",
        `docker-daemon:${name}: the engine's response is too long`,
      );
    }
  }
  const on = `docker-daemon:${name}: the engine's response`;
  return parseDocument(Buffer.concat(chunks), InspectSchema, on, "network");
}

/** Engines hold several platforms of an image since API 1.48 and tell them apart in both calls since 1.49. */
function platformQuery(platform: Platform | undefined, apiVersion: string | undefined): string {
  if (platform === undefined) return "";
  const [major = 0, minor = 0] = (apiVersion ?? "").split(".").map(Number);
  if (major < 1 || (major === 1 && minor < 49)) return "";
  return `?platform=${encodeURIComponent(JSON.stringify(writtenPlatform(platform)))}`;
}
