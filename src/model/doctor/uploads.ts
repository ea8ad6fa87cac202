import { OcibundleError } from "../../errors.ts";
import type { ByteRange } from "../../oci/content.ts";
import { refusalOf } from "../../registry/refusal.ts";
import type { UploadBody, UploadSession } from "../../registry/types.ts";
import { MiB } from "../../transfer/units.ts";
import { uploadBody } from "../../transfer/upload/upload-body.ts";
import { isSlow } from "../../transfer/upload/upload-way.ts";
import type { TrialDescriptor } from "./body.ts";
import { check, type Examination, type Finding, no, odd, rateOf, reasonOf, yes } from "./check.ts";
import { askedOffset, type Offset, resumeBroken, sayOffset } from "./resume.ts";

/** Chunks of one trial, where its size allows: enough to see whether the registry counts them. */
const chunksOfTrial = 4;

/** What is tried when larger chunks are refused, in bytes. */
const smallerChunks = [4 * MiB, MiB];

/** Refusals of a chunk that may have to do with its size. */
const refusalsOfSize: ReadonlySet<number | undefined> = new Set([400, 413, 416]);

/**
 * Sends the trial body in every way that a blob can go. Resolves to the blobs that are there then, the
 * largest first.
 */
export async function checkUploads(examination: Examination): Promise<TrialDescriptor[]> {
  const { body, emit, signal, findings } = examination;
  const whole = await body.prefix(body.size);
  emit({ type: "phase", phase: "upload", items: 4, bytes: 4 * body.size });
  const trial = openTrial(examination);

  await check(examination, "put", () =>
    trial.send("one PUT", whole, (session) =>
      session.finish(whole.digest, trial.part({ start: 0, end: whole.size }), signal),
    ),
  );
  await check(examination, "patch", () =>
    trial.send("one PATCH", whole, async (session) => {
      const has = await session.patchAll(trial.part({ start: 0, end: whole.size }), signal);
      if (has !== whole.size) throw odd(`${whole.size} bytes were sent and it has ${has}`);
      await session.finish(whole.digest, undefined, signal);
    }),
  );
  const offsets: Offset[] = [];
  await check(examination, "chunks", () => sendChunks(examination, trial, offsets));
  await check(examination, "resume", () => {
    const wrong = offsets.find(({ sent, said }) => sent !== said);
    if (wrong !== undefined) return Promise.resolve(no(sayOffset(wrong)));
    return resumeBroken(examination, trial);
  });
  await check(examination, "upload", async () => {
    const rates = (["put", "patch", "chunks"] as const).flatMap(
      (name) => findings.get(name)?.bytesPerSecond ?? [],
    );
    if (rates.length === 0) return Promise.resolve(no("nothing of this size was taken"));
    return Promise.resolve(yes({ bytes: body.size, bytesPerSecond: Math.max(...rates) }));
  });
  return trial.sent.toSorted((a, b) => b.size - a.size);
}

export interface Trial {
  /** Blobs that are there, each once. */
  sent: TrialDescriptor[];
  /** A part of the trial body, told of while it goes out. */
  part(range: ByteRange): UploadBody;
  /** Opens an upload, has `work` end it, and sees that the blob is there. */
  send(
    item: string,
    blob: TrialDescriptor,
    work: (session: UploadSession) => Promise<void>,
  ): Promise<Finding>;
}

function openTrial({ body, emit, repository, signal, litter }: Examination): Trial {
  const sent: TrialDescriptor[] = [];
  let item = "";
  /** In bytes a millisecond, of the last body that went through. */
  let rate = 0;
  let told = 0;
  const tell = (position: number): void => {
    emit({ type: "progress", phase: "upload", item, bytes: position - told });
    told = position;
  };
  const noteBlob = ({ digest, size }: TrialDescriptor): void => {
    if (litter.some(({ name }) => name === digest)) return;
    litter.push({ kind: "blob", repository: repository.name, name: digest, bytes: size });
  };
  return {
    sent,
    part: (range) =>
      uploadBody(body.source, range, {
        signal,
        // Counting costs a fast registry some of its rate.
        ...(isSlow(range.end - range.start, rate) ? { onPosition: tell } : {}),
      }),
    async send(name, blob, work) {
      item = name;
      told = 0;
      emit({ type: "start", phase: "upload", item, group: "doctor", bytes: blob.size });
      const session = await openUpload(repository, signal);
      try {
        noteBlob(blob);
        const started = performance.now();
        await work(session);
        const milliseconds = performance.now() - started;
        const has = await repository.headBlob(blob.digest, signal);
        if (has !== blob.size) throw odd("the blob was taken, and is not there");
        if (!sent.some(({ digest }) => digest === blob.digest)) sent.push(blob);
        rate = blob.size / Math.max(1, milliseconds);
        return yes({ bytes: blob.size, bytesPerSecond: rateOf(blob.size, milliseconds) });
      } catch (error) {
        await session.cancel();
        throw error;
      } finally {
        emit({ type: "done", phase: "upload", item });
      }
    },
  };
}

/** Opens an upload. Throws `denied` and its like. */
export async function openUpload(
  repository: Examination["repository"],
  signal: AbortSignal,
): Promise<UploadSession> {
  const answer = await repository.startUpload({}, signal);
  if (answer.mounted) throw odd("it mounted a blob without being asked");
  return answer.session;
}

/** Sends chunks, smaller ones where larger are refused, and asks in between what is there. */
async function sendChunks(
  { body, signal, repository }: Examination,
  trial: Trial,
  offsets: Offset[],
): Promise<Finding> {
  const probe = await openUpload(repository, signal);
  await probe.cancel();
  const minimum = probe.minimumChunk ?? 0;
  const first = Math.max(Math.ceil(body.size / chunksOfTrial), minimum);
  const sizes = [first, ...smallerChunks.filter((size) => size < first && size >= minimum)];
  let refused: OcibundleError | undefined;
  for (const chunk of sizes) {
    try {
      const blob = await body.prefix(Math.min(body.size, chunk * chunksOfTrial));
      offsets.length = 0;
      const finding = await trial.send("chunks", blob, async (session) => {
        for (let start = 0; start < blob.size; start += chunk) {
          const end = Math.min(blob.size, start + chunk);
          const has = await session.patchChunk(start, trial.part({ start, end }), signal);
          if (end === blob.size && has === end) continue;
          const said = await askedOffset(session, signal);
          offsets.push({ sent: end, said });
          // Some say nothing new in the answer itself, and the truth when they are asked.
          if (has !== end && said !== end) throw odd(`${end} bytes were sent and it has ${has}`);
        }
        await session.finish(blob.digest, undefined, signal);
      });
      const known = probe.minimumChunk === undefined ? {} : { minimumChunk: minimum };
      const limit = refused === undefined ? {} : { reason: `${first} bytes: ${reasonOf(refused)}` };
      return { ...finding, chunk, ...known, ...limit };
    } catch (error) {
      signal.throwIfAborted();
      const ofSize = refusalsOfSize.has(refusalOf(error)?.status);
      if (!(error instanceof OcibundleError) || !ofSize) throw error;
      refused ??= error;
    }
  }
  throw refused ?? odd("no chunk was sent");
}
