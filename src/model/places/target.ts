import { resolve } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { refuseStandardOutput } from "./standard-output.ts";
import { parseImageSource } from "../../image/source/source.ts";
import type { ContentWriter } from "../../oci/content.ts";
import { isDigest } from "../../oci/digest.ts";
import { formatReference, formatRepository, type Reference } from "../../oci/reference.ts";
import type { WantedBlobs } from "../../store/archive/unfinished.ts";
import { createLayoutArchive } from "../../store/archive/writer.ts";
import { createLayout } from "../../store/layout/layout-writer.ts";
import type { ContentGraph } from "../graph/content-graph.ts";
import type { Session } from "../session/session.ts";

/** Where a model or an image is written to, parsed once from what a user wrote. */
export type Target =
  | { kind: "oci" | "oci-archive"; text: string; path: string; tag: string | undefined }
  | { kind: "registry"; text: string; reference: Reference }
  | { kind: "engine"; text: string; repository: string; tag: string };

/** What each job writes to, and what it says of anything else. */
const jobs = {
  push: {
    takes: ["registry"],
    refuses: (text: string) => `push needs a registry reference; "${text}" is not one`,
    hint: "use `ocibundle build` to write layouts and archives",
  },
  build: {
    takes: ["oci", "oci-archive"],
    refuses: (text: string) => `"${text}" is not a layout`,
    hint: "use oci:DIR[:TAG] or oci-archive:FILE[:TAG], or `ocibundle push` for a registry",
  },
  copy: {
    takes: ["registry", "oci", "oci-archive"],
    refuses: (text: string) => `cannot copy to "${text}"`,
    hint: "use a registry reference, oci:DIR[:TAG] or oci-archive:FILE[:TAG]",
  },
  pullImage: {
    takes: ["oci", "oci-archive", "engine"],
    refuses: (text: string) => `cannot pull an image to "${text}"`,
    hint: "use oci:DIR[:TAG], oci-archive:FILE[:TAG] or docker-daemon:NAME:TAG",
  },
} as const satisfies Record<
  string,
  { takes: readonly Target["kind"][]; refuses: (text: string) => string; hint: string }
>;

type Jobs = typeof jobs;
type TargetOf<J extends keyof Jobs> = Extract<Target, { kind: Jobs[J]["takes"][number] }>;

/** Reads what a job is to write to. Throws `usage` for what it can't. */
export function parseTarget<J extends keyof Jobs>(text: string, job: J): TargetOf<J> {
  const { takes, refuses, hint } = jobs[job];
  const target = targetOf(text, hint);
  const isTaken = (of: Target): of is TargetOf<J> => takes.some((kind) => kind === of.kind);
  if (target !== undefined && isTaken(target)) return target;
  throw new OcibundleError("usage", refuses(text), { hint });
}

function targetOf(text: string, hint: string): Target | undefined {
  const spec = parseImageSource(text);
  switch (spec.kind) {
    case "oci":
    case "oci-archive":
      if (spec.tag !== undefined && isDigest(spec.tag)) {
        throw new OcibundleError("usage", `"${text}" has a digest, which cannot be a target`, {
          hint: "name a tag",
        });
      }
      return { ...spec, text };
    case "registry":
      return { ...spec, text };
    case "anywhere":
      return { kind: "registry", text, reference: spec.image.reference };
    case "engine": {
      const reference = "id" in spec.image ? undefined : spec.image.reference;
      if (reference?.tag === undefined || reference.digest !== undefined) {
        const why = `"${text}" needs a name and a tag`;
        throw new OcibundleError("usage", why, { hint });
      }
      return { kind: "engine", text, repository: formatRepository(reference), tag: reference.tag };
    }
    case "docker-archive":
      return undefined;
  }
}

type LayoutTarget = Extract<Target, { kind: "oci" | "oci-archive" }>;

/** A target that is open to be written to. */
export interface OpenTarget extends AsyncDisposable {
  /** For messages. */
  name: string;
  writer: ContentWriter;
  /** Undefined for a registry, where a digest alone is named. */
  tag: string | undefined;
  /** Set for a registry. */
  reference: Reference | undefined;
  /** Puts what was written under its final name. Without it, disposing leaves no half archive behind. */
  commit(): Promise<void>;
}

/**
 * Opens a target to be written to: a layout is begun or continued. An archive that an earlier run did not
 * finish is gone on with where `graph`, all that is to be written, is given.
 */
export async function openTarget(
  session: Pick<Session, "cwd" | "signal" | "writer">,
  target: Exclude<Target, { kind: "engine" }>,
  graph?: ContentGraph,
): Promise<OpenTarget> {
  if (target.kind !== "registry") {
    return openLayoutTarget(session, target, graph && wantedBlobs(graph));
  }
  const { reference } = target;
  return {
    name: formatReference(reference),
    writer: session.writer(reference),
    tag: reference.tag,
    reference,
    commit: async () => undefined,
    [Symbol.asyncDispose]: async () => undefined,
  };
}

const wantedBlobs = ({ root, children, blobs }: ContentGraph): WantedBlobs =>
  new Map([
    ...blobs.map(({ descriptor: { digest, size } }) => [digest, size] as const),
    ...[...children, root].map(({ digest, bytes }) => [digest, bytes.byteLength] as const),
  ]);

async function openLayoutTarget(
  { cwd, signal }: Pick<Session, "cwd" | "signal">,
  { kind, text, path, tag }: LayoutTarget,
  wanted: WantedBlobs | undefined,
): Promise<OpenTarget> {
  if (kind === "oci-archive" && path === "-") {
    throw new OcibundleError("usage", "an archive cannot be written to standard output", {
      hint: `use a file, such as oci-archive:model.tar; for a file named "-", use "oci-archive:./-"`,
    });
  }
  if (kind === "oci") refuseStandardOutput(path, "a layout");
  const whole = resolve(cwd, path);
  const shared = { name: text, tag, reference: undefined };
  if (kind === "oci") {
    const writer = await createLayout(whole, signal);
    return {
      ...shared,
      writer,
      commit: () => writer.commit(signal),
      [Symbol.asyncDispose]: async () => undefined,
    };
  }
  const writer = await createLayoutArchive(whole, wanted);
  return {
    ...shared,
    writer,
    commit: () => writer.commit(signal),
    [Symbol.asyncDispose]: () => writer.discard(),
  };
}
