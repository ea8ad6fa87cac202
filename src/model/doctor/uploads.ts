import { OcibundleError } from "../../errors.ts";
import { refusalOf } from "../../registry/refusal.ts";
import { MiB } from "../../transfer/units.ts";
import type { TrialDescriptor } from "./body.ts";
import { check, type DoctorRun, no, odd, reasonOf, yes } from "./check.ts";
import { askedOffset, type Offset, resumeBroken, sayOffset } from "./resume.ts";
import { openTrial, openUpload, type Trial } from "./trial.ts";
import type { Finding } from "../../report/doctor.ts";

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
export async function checkUploads(run: DoctorRun): Promise<TrialDescriptor[]> {
  const { body, emit, signal, findings } = run;
  const whole = await body.prefix(body.size);
  emit({ type: "phase", phase: "upload", items: 4, bytes: 4 * body.size });
  const trial = openTrial(run);

  await check(run, "put", () =>
    trial.send("one PUT", whole, (session) =>
      session.finish(whole.digest, trial.part({ start: 0, end: whole.size }), signal),
    ),
  );
  await check(run, "patch", () =>
    trial.send("one PATCH", whole, async (session) => {
      const has = await session.patchAll(trial.part({ start: 0, end: whole.size }), signal);
      if (has !== whole.size) throw odd(`${whole.size} bytes were sent, the registry has ${has}`);
      await session.finish(whole.digest, undefined, signal);
    }),
  );
  const offsets: Offset[] = [];
  await check(run, "chunks", () => sendChunks(run, trial, offsets));
  await check(run, "resume", () => {
    const wrong = offsets.find(({ sent, said }) => sent !== said);
    if (wrong !== undefined) return Promise.resolve(no(sayOffset(wrong)));
    return resumeBroken(run, trial);
  });
  await check(run, "upload", async () => {
    const rates = (["put", "patch", "chunks"] as const).flatMap(
      (name) => findings.get(name)?.bytesPerSecond ?? [],
    );
    if (rates.length === 0) return Promise.resolve(no("no body of this size was accepted"));
    return Promise.resolve(yes({ bytes: body.size, bytesPerSecond: Math.max(...rates) }));
  });
  return trial.sent.toSorted((a, b) => b.size - a.size);
}

/** Sends chunks, smaller ones where larger are refused, and asks in between what is there. */
async function sendChunks(
  { body, signal, repository }: DoctorRun,
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
          if (has !== end && said !== end)
            throw odd(`${end} bytes were sent, the registry has ${has}`);
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
