import { withContext } from "../../errors.ts";
import { parseReference } from "../../oci/reference.ts";
import type { Digest } from "../../oci/digest.ts";
import { type OpenTarget, openTarget, parseTarget } from "../places/target.ts";
import { partTarget } from "./part-target.ts";
import type { ModelParts } from "./model-parts.ts";
import { prepareModel } from "./prepare.ts";
import { publish } from "../graph/publish.ts";
import { onlyPlatform, publishReport } from "../graph/publish-report.ts";
import { type JobContext, openSession } from "../session/session.ts";
import type { PublishReport } from "../../report/publish.ts";

/** A model, and the layout that it is built in. */
export interface BuildRequest extends ModelParts {
  /** Only its tag is used, where the output names none. */
  reference: string | undefined;
  /** `oci:DIR[:TAG]` or `oci-archive:FILE[:TAG]`. */
  output: string;
}

/** Assembles a model in a layout, as `push` would on a registry. */
export async function buildModel(job: JobContext, request: BuildRequest): Promise<PublishReport> {
  const started = performance.now();
  const session = openSession(job);
  const given = request.reference === undefined ? undefined : parseReference(request.reference).tag;
  const output = parseTarget(request.output, "build");
  try {
    await using stack = new AsyncDisposableStack();
    let opened: Promise<OpenTarget> | undefined;
    const open = (): Promise<OpenTarget> =>
      (opened ??= openTarget(session, output).then((target) => stack.use(target)));
    const sent = new Map<Digest, number>();
    const parts = partTarget(async () => (await open()).writer, { dryRun: false, sent });
    await using prepared = await prepareModel(session, request, { parts });
    const { model } = prepared;
    const target = await open();
    const published = await publish(model, target.writer, {
      ...session,
      concurrency: session.flags.concurrency,
      phase: "write",
      sentBefore: sent,
      tag: output.tag ?? given ?? "latest",
      ...(model.childTags === undefined ? {} : { childTags: model.childTags }),
    });
    await target.commit();
    return await publishReport({
      session,
      name: request.output,
      action: "built",
      model,
      published,
      milliseconds: performance.now() - started,
      platform: onlyPlatform(model.image),
      target: "layout",
      dryRun: false,
    });
  } catch (error) {
    throw withContext(`build ${request.output}`, error);
  }
}
