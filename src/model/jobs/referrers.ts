import * as v from "valibot";
import { OcibundleError } from "../../errors.ts";
import { AnnotationsSchema } from "../../oci/descriptor.ts";
import type { Digest } from "../../oci/digest.ts";
import { parseDocument } from "../../oci/document.ts";
import { goObject } from "../../oci/go-object.ts";
import { membersOf } from "../../oci/manifest-members.ts";
import { readGraph } from "../graph/content-graph.ts";
import { kindOfReferrer } from "../graph/referrer-kind.ts";
import { type Referrer, referrersOf } from "../graph/referrers.ts";
import { modelPlace } from "../places/place.ts";
import { type JobContext, openSession } from "../session/session.ts";
import type { ReferrerListing, ReferrerReport } from "../../report/referrers.ts";

/**
 * Lists what refers to a manifest and to those below it: by `subject`, by the fallback tag and by cosign's
 * tags. Blobs are not read. Throws `not_found`, `file` where there is more than a real model has.
 */
export async function listAllReferrers(job: JobContext, source: string): Promise<ReferrerListing> {
  const session = openSession(job);
  const { signal, emit } = session;
  const model = await (await modelPlace(session, source)).open();
  try {
    const { reader, root } = model;
    const graph = await readGraph(reader, root, signal, (_child, error) => {
      emit({ type: "warning", message: error.message });
    });
    const bySubject = new Map<Digest, ReferrerReport[]>();
    const push = (subject: Digest, report: ReferrerReport): void => {
      const list = bySubject.get(subject) ?? [];
      list.push(report);
      bySubject.set(subject, list);
      // Its own list is filled as those that refer to it are found.
      bySubject.set(report.digest, report.referrers);
    };
    const onBroken = (
      { digest, subject }: { digest: Digest; subject: Digest },
      error: OcibundleError,
    ): void => {
      emit({ type: "warning", message: `referrer ${digest} cannot be read: ${error.message}` });
      push(subject, {
        digest,
        kind: null,
        artifactType: null,
        size: null,
        tag: null,
        titles: [],
        error: { code: error.code, message: error.message },
        referrers: [],
      });
    };
    for await (const referrer of referrersOf(reader, graph, { signal, emit, onBroken })) {
      push(referrer.subject, reportOf(referrer, reader.name));
    }
    return {
      name: model.name,
      digest: root.digest,
      referrers: bySubject.get(root.digest) ?? [],
      children: graph.children.flatMap(({ digest }) => {
        const referrers = bySubject.get(digest) ?? [];
        return referrers.length === 0 ? [] : [{ digest, referrers }];
      }),
    };
  } finally {
    await model.close();
  }
}

const MoreSchema = goObject({ annotations: v.optional(AnnotationsSchema) });

function reportOf({ graph, tag }: Referrer, on: string): ReferrerReport {
  const { root, children, blobs } = graph;
  const { artifactType, config, layers } = membersOf(root, on);
  const { annotations } = parseDocument(root.bytes, MoreSchema, on);
  // Before image-spec 1.1 the config's media type was an artifact's type.
  const type = artifactType ?? config?.mediaType;
  const stored = blobs.reduce((sum, { descriptor }) => sum + descriptor.size, 0);
  return {
    digest: root.digest,
    kind: kindOfReferrer(
      {
        ...(type === undefined ? {} : { artifactType: type }),
        ...(annotations === undefined ? {} : { annotations }),
      },
      tag,
    ),
    artifactType: type ?? null,
    size: [root, ...children].reduce((sum, { bytes }) => sum + bytes.byteLength, stored),
    tag: tag ?? null,
    titles: layers.flatMap((layer) => layer.annotations?.["org.opencontainers.image.title"] ?? []),
    error: null,
    referrers: [],
  };
}

/** All referrers of a listing, over all levels. */
export function allReferrers({ referrers, children }: ReferrerListing): ReferrerReport[] {
  const flat = (list: readonly ReferrerReport[]): ReferrerReport[] =>
    list.flatMap((one) => [one, ...flat(one.referrers)]);
  return flat([...referrers, ...children.flatMap((child) => child.referrers)]);
}

/** The error that a listing with broken referrers ends with, or undefined where all are well. */
export function referrersFailure(listing: ReferrerListing): OcibundleError | undefined {
  const broken = allReferrers(listing).flatMap(({ error }) => (error === null ? [] : [error.code]));
  if (broken.length === 0) return undefined;
  const code = (["denied", "network"] as const).find((one) => broken.includes(one)) ?? "integrity";
  return new OcibundleError(code, `${listing.name}: ${broken.length} referrers cannot be read`);
}
