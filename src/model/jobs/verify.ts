import { parallel } from "../../flow/parallel.ts";
import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { shortDigest } from "../../oci/digest.ts";
import { destParts } from "../../store/placement/safe-path.ts";
import { readGraph } from "../graph/content-graph.ts";
import { filesOfParts, verifyFileOfParts } from "./verify-parts.ts";
import { extraFiles } from "./extra-files.ts";
import { type Loaded, loadSource } from "../places/load-model.ts";
import { type JobContext, openSession, type Session } from "../session/session.ts";
import { type Item, readsAtOnce, type Subject, verifySubject } from "./verify-subject.ts";
import { parsePlace } from "../places/place.ts";
import { selectEntries } from "../pull/pull-plan.ts";
import { allWeights, hasUnlisted } from "../graph/summary.ts";
import type { WeightEntry } from "../format/weight-entry.ts";
import type { Problem, VerifyReport } from "../../report/verify.ts";

/** What is verified, and how thoroughly. */
export interface VerifyRequest {
  /** A reference, layout, archive or lock. */
  source: string;
  /** The directory that `source` was pulled into. Without it the content of the source itself is verified. */
  dir: string | undefined;
  /** Which files of the directory, as `pull --only` has it; all where none is given. */
  only?: readonly string[] | undefined;
  /** Only ask whether everything is there with its size; read nothing. */
  quick: boolean;
}

/**
 * Holds a directory against a lock or a model, or a model against itself. Never throws for what differs. Throws
 * `usage` for `only` without a directory and for a lock alone, and what keeps the source from being read.
 */
export async function verifySource(job: JobContext, request: VerifyRequest): Promise<VerifyReport> {
  const session = openSession(job);
  await using stack = new AsyncDisposableStack();
  const { quick, only = [] } = request;
  if (request.dir === undefined) {
    if (only.length > 0) {
      throw new OcibundleError("usage", "--only needs --dir", {
        hint: "add --dir, or remove --only: without a directory, all content is verified",
      });
    }
    const subject = await blobsOf(session, request.source, stack);
    return await verifySubject(session, subject, { dir: null, quick });
  }
  const dir = resolve(session.cwd, request.dir);
  const loaded = await loadSource(session, request.source);
  if (loaded.kind === "model") stack.use(loaded);
  const { name } = loaded;
  const entries = weightsOf(loaded);
  const items = selectEntries(entries, only).map((entry) =>
    fileItem(entry, join(dir, ...destParts(entry.dest))),
  );
  const names = entries.map(({ dest }) => join(dir, ...destParts(dest)));
  const extra = () => extraFiles(dir, names);
  return await verifySubject(session, { name, items, broken: [] }, { dir, quick, extra });
}

/** Every blob of a model, where it lies. Throws `usage` for a lock, which holds no blobs. */
async function blobsOf(
  session: Session,
  text: string,
  stack: AsyncDisposableStack,
): Promise<Subject> {
  const place = await parsePlace(session, text);
  if (place.kind === "lock") {
    throw new OcibundleError("usage", `"${text}" is a lock, which has no content to verify`, {
      hint: "specify the directory of the weights with --dir",
    });
  }
  const { reader, root, name, close } = await place.open();
  stack.defer(close);
  const broken: Problem[] = [];
  const graph = await readGraph(reader, root, session.signal, ({ item }, error) => {
    broken.push({ item, kind: kindOfBroken(error), detail: error.message });
  });
  for (const { digest } of graph.leftOut ?? []) {
    const message = `layer ${shortDigest(digest)} is non-distributable and missing: skipped`;
    session.emit({ type: "warning", message });
  }
  const parts = await filesOfParts(reader, graph, session.signal, (digest, error) => {
    broken.push({
      item: `manifest ${shortDigest(digest)}`,
      kind: kindOfBroken(error),
      detail: error.message,
    });
  });
  const files = parts.files.map(({ file, artifact, blobs }): Item => ({
    name: file.name,
    group: "weights",
    // What is read of it: its parts as they are stored.
    expected: { digest: file.digest, size: blobs.reduce((sum, { size }) => sum + size, 0) },
    source: () => Promise.reject(new TypeError("a file in parts has no one source")),
    exists: async (signal) => {
      const there = await parallel(blobs, readsAtOnce, signal, (blob, stop) =>
        reader.hasBlob(blob, stop),
      );
      return there.every(Boolean);
    },
    verify: (signal, onBytes) =>
      verifyFileOfParts(file, { reader, cache: session.cache, artifact, signal, onBytes }),
  }));
  const others = graph.blobs.filter(({ descriptor }) => !parts.covered.has(descriptor.digest));
  const items = others.map((blob): Item => {
    const { descriptor, reportCorrupt } = blob;
    return {
      name: blob.name ?? blob.label,
      group: blob.group,
      expected: descriptor,
      // Not what a manifest has of it as "data": what is stored is verified.
      source: (signal) => reader.blobSource(descriptor, signal),
      reportCorrupt,
      exists: (signal) => reader.hasBlob(descriptor, signal),
    };
  });
  return { name, items: [...items, ...files], broken };
}

/** What is not supported here, or not understood, is not compared: nothing is known to be wrong with it. */
const kindOfBroken = ({ code }: OcibundleError): Problem["kind"] =>
  code === "not_found" ? "missing" : code === "file" ? "uncompared" : "differs";

/** A weight file where a pull has placed it. Looking at it throws `integrity` for another kind or size of file. */
export function fileItem({ digestOriginal, sizeUncompressed }: WeightEntry, path: string): Item {
  /** Throws `integrity` for what is there and can't be the file. */
  const checkSize = async (): Promise<void> => {
    const stats = await stat(path);
    if (!stats.isFile()) throw new OcibundleError("integrity", "not a regular file");
    if (stats.size === sizeUncompressed) return;
    const message = `size is ${stats.size} bytes, expected ${sizeUncompressed}`;
    throw new OcibundleError("integrity", message);
  };
  return {
    name: path,
    group: "weights",
    expected: { digest: digestOriginal, size: sizeUncompressed },
    source: async () => {
      await checkSize();
      return { kind: "file", path, offset: 0 };
    },
    exists: async () => {
      await checkSize();
      return true;
    },
  };
}

/** The files of a model. Throws `usage` where it has none, or where they are not known without unpacking. */
export const weightsOf = (loaded: Loaded): readonly WeightEntry[] => {
  if (loaded.kind === "model" && hasUnlisted(loaded.summary)) {
    throw new OcibundleError("usage", `${loaded.name} has archives whose files are unknown`, {
      hint: "pull it again into the directory, or run `ocibundle verify` without --dir",
    });
  }
  const files = loaded.kind === "lock" ? loaded.files : allWeights(loaded.summary);
  if (files !== undefined) return files;
  throw new OcibundleError("usage", `${loaded.name} has no weights to compare a directory with`, {
    hint: "run `ocibundle inspect` to see its content",
  });
};
