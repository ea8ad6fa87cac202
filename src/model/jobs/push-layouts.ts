import { OcibundleError } from "../../errors.ts";
import { formatReference } from "../../oci/reference.ts";
import { projectImage } from "../format/read-project-file.ts";
import {
  holdsImages,
  type LayoutName,
  layoutVariable,
  parseLayout,
} from "../format/layout-name.ts";
import { imageOnly } from "../layout/layouts.ts";
import { parseTarget } from "../places/target.ts";
import type { JobContext } from "../session/session.ts";
import { firstGiven } from "./first-given.ts";
import { type PushRequest, pushModel } from "./push.ts";
import type { PublishReport } from "../../report/publish.ts";

/**
 * Pushes a model in one layout or in several: the first under the tag, each further one under the tag and
 * its own name, as `v1-modelpack`, unless it fits into the index of another; so do further tags. Blobs that layouts
 * share are sent once. Throws as `pushModel`, before anything is sent where a layout is not known.
 */
export async function pushLayouts(job: JobContext, request: PushRequest): Promise<PublishReport[]> {
  const variable = job.env[layoutVariable] || undefined;
  const layouts =
    request.layout === undefined
      ? layoutsOf(variable, layoutVariable)
      : layoutsOf(request.layout, "--layout");
  const [first, ...others] = layouts;
  if (first === undefined || others.length === 0) {
    return [await pushModel(job, { ...request, layout: first })];
  }
  const text = request.reference ?? (await projectImage(job.cwd));
  const { reference } = parseTarget(text, "push");
  const reports: PublishReport[] = [];
  const { compression, mostParts, base } = request;
  const ofParts = { "--compression": compression, "--most-parts": mostParts, "--base": base };
  const alone = firstGiven(ofParts);
  if (alone !== undefined && !layouts.includes("parts")) {
    throw new OcibundleError("usage", `${alone} needs --layout parts`, {
      hint: `add parts to --layout, or remove ${alone}`,
    });
  }
  if (request.root !== undefined && !layouts.includes("image")) throw imageOnly();
  for (const { layout, name, volume } of groupsOf(layouts, request.image !== undefined)) {
    const suffix = name === first ? "" : `-${name}`;
    const tag = `${reference.tag ?? "latest"}${suffix}`;
    // Only some layouts have a place for an image.
    const image = holdsImages(layout) ? request.image : undefined;
    const tags = request.tags?.map((one) => `${one}${suffix}`);
    const cogLock = layout === "cog" ? request.cogLock : undefined;
    const root = volume || layout === "image" ? request.root : undefined;
    // A platform is that of the image.
    const platform = image === request.image ? request.platform : undefined;
    const given = { tags, layout, image, platform, volume, cogLock, root };
    const one = { ...request, ...forParts(layout, request), ...given };
    reports.push(
      await pushModel(job, {
        ...one,
        reference: suffix === "" ? text : formatReference({ ...reference, tag }),
      }),
    );
  }
  return reports;
}

/** What only weights in parts are given. */
const forParts = (
  layout: LayoutName,
  { compression, mostParts, base }: PushRequest,
): Pick<PushRequest, "compression" | "mostParts" | "base"> =>
  layout === "parts"
    ? { compression, mostParts, base }
    : { compression: undefined, mostParts: undefined, base: undefined };

interface Group {
  layout: LayoutName;
  /** The one of the layouts that the tag is named after. */
  name: LayoutName;
  /** Whether the layout `image` is in the same index. */
  volume: boolean;
}

/**
 * What is pushed under one tag each. Where no other image is there, the layout `image` takes the place of one in
 * the index of the first layout that can have one.
 */
function groupsOf(layouts: readonly LayoutName[], hasImage: boolean): Group[] {
  const host = hasImage || !layouts.includes("image") ? undefined : layouts.find(holdsImages);
  const groups: Group[] = [];
  for (const name of layouts) {
    if (host === undefined || (name !== host && name !== "image")) {
      groups.push({ layout: name, name, volume: false });
    } else if (!groups.some(({ volume }) => volume)) {
      groups.push({ layout: host, name, volume: true });
    }
  }
  return groups;
}

function layoutsOf(text: string | undefined, from: string): LayoutName[] {
  if (text === undefined) return [];
  const layouts = text.split(",").map((name) => parseLayout(name.trim(), from));
  if (new Set(layouts).size === layouts.length) return layouts;
  throw new OcibundleError("usage", `${from} "${text}" lists a layout twice`, {
    hint: "list each layout once",
  });
}
