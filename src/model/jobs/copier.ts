import type { BlobToMove } from "../../oci/content.ts";
import type { Digest } from "../../oci/digest.ts";
import type { ContentGraph } from "../graph/content-graph.ts";
import type { OpenTarget } from "../places/target.ts";
import { keepChildren } from "../graph/keep-children.ts";
import type { MountSources } from "../places/mount-sources.ts";
import type { Converted } from "./convert.ts";
import { publish, type Published } from "../graph/publish.ts";
import type { Session } from "../session/session.ts";

/** Moves graphs to one target. With `dryRun` nothing is written. */
export interface Copier {
  /** Moves what the target lacks of a graph; see `publish`. */
  move(graph: Converted, tag: string | undefined): Promise<Published>;
  /** Sets a tag of a graph that was moved without one. */
  tag(graph: ContentGraph, tag: string | undefined): Promise<void>;
  /** Makes what was moved final, and remembers it. */
  finish(): Promise<void>;
}

interface CopierOptions {
  dryRun: boolean;
  /** Ask for every blob, also where the target has a manifest that names it. */
  checkBlobs: boolean | undefined;
  /** What was sent before: the bytes of each blob that an earlier run had sent. */
  sent: ReadonlyMap<Digest, number>;
  mounts: MountSources | undefined;
}

/** A copier to a target that is open, which the caller closes. */
export function openCopier(
  session: Session,
  { dryRun, checkBlobs, sent, mounts }: CopierOptions,
  { writer, reference, commit }: OpenTarget,
): Copier {
  const moved: BlobToMove[] = [];
  return {
    move(graph, tag) {
      const blobs = mounts?.offer(graph.blobs) ?? graph.blobs;
      moved.push(...blobs);
      return publish({ ...graph, blobs }, writer, {
        ...session,
        concurrency: session.flags.concurrency,
        ...(graph.childTags === undefined ? {} : { childTags: graph.childTags }),
        phase: reference === undefined ? "write" : "upload",
        tag,
        dryRun,
        checkBlobs,
        sentBefore: sent,
      });
    },
    async tag({ root, children }, tag) {
      if (dryRun || tag === undefined) return;
      await writer.writeManifest(root, tag, session.signal);
      await keepChildren(children, writer, session);
    },
    async finish() {
      if (dryRun) return;
      await commit();
      await mounts?.keep(moved);
    },
  };
}
