import { OcibundleError } from "../../errors.ts";
import { formatReference } from "../../oci/reference.ts";
import { projectImage } from "../format/project-file.ts";
import { type LayoutName, parseLayout } from "../format/layout-name.ts";
import { parseTarget } from "../places/target.ts";
import type { JobContext } from "../session/session.ts";
import { type PushRequest, pushModel } from "./push.ts";
import type { PublishReport } from "../../report/publish.ts";

/**
 * Pushes a model in one layout or in several: the first under the tag, each further one under the tag and
 * its own name, as `v1-modelpack`; so do further tags. Blobs that layouts share are sent once. Throws as `pushModel`, before
 * anything is sent where a layout is not known.
 */
export async function pushLayouts(job: JobContext, request: PushRequest): Promise<PublishReport[]> {
  const layouts = layoutsOf(request.layout ?? (job.env["OCIBUNDLE_LAYOUT"] || undefined));
  const [first, ...others] = layouts;
  if (first === undefined || others.length === 0) {
    return [await pushModel(job, { ...request, layout: first })];
  }
  const text = request.reference ?? (await projectImage(job.cwd));
  const { reference } = parseTarget(text, "push");
  const asked = request.compression;
  if (asked !== undefined && !layouts.includes("parts")) {
    throw new OcibundleError("usage", "--compression needs --layout parts");
  }
  const compressionOf = (layout: LayoutName) => (layout === "parts" ? asked : undefined);
  const compression = compressionOf(first);
  const reports = [
    await pushModel(job, { ...request, reference: text, layout: first, compression }),
  ];
  for (const layout of others) {
    const tag = `${reference.tag ?? "latest"}-${layout}`;
    const further = formatReference({ ...reference, tag });
    // Only some layouts have a place for an image, and it stands under the first tag.
    const image = /^(?:bundle|bundle-1|cog|parts)$/.test(layout) ? request.image : undefined;
    const tags = request.tags?.map((one) => `${one}-${layout}`);
    reports.push(
      await pushModel(job, {
        ...request,
        reference: further,
        tags,
        layout,
        image,
        compression: compressionOf(layout),
      }),
    );
  }
  return reports;
}

function layoutsOf(text: string | undefined): LayoutName[] {
  if (text === undefined) return [];
  const layouts = text.split(",").map((name) => parseLayout(name.trim()));
  if (new Set(layouts).size === layouts.length) return layouts;
  throw new OcibundleError("usage", `--layout "${text}" lists a layout twice`);
}
