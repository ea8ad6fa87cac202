import { setTimeout as wait } from "node:timers/promises";
import { OcibundleError } from "../../errors.ts";
import { refusalOf } from "../../registry/refusal.ts";
import type { UploadBody, UploadSession } from "../../registry/types.ts";
import { MiB } from "../../transfer/units.ts";
import { type DoctorRun, notTried, odd } from "./check.ts";
import type { Trial } from "./trial.ts";
import type { Finding } from "../../report/doctor.ts";

/** What a session said to have, after so many bytes had gone there. */
export interface Offset {
  sent: number;
  said: number | undefined;
}

/** An offset that is not the one that was sent, in words. */
export const sayOffset = ({ sent, said }: Offset): string =>
  said === undefined
    ? "the upload does not report its progress"
    : `the upload reports ${said} bytes after ${sent} were sent`;

/** What the session says to have; a refusal to say is undefined. */
export async function askedOffset(
  session: UploadSession,
  signal: AbortSignal,
): Promise<number | undefined> {
  try {
    return await session.offset(signal);
  } catch (error) {
    signal.throwIfAborted();
    if (refusalOf(error) === undefined) throw error;
    return undefined;
  }
}

/** Before an upload that broke off is asked for: the registry may not have seen it yet. In milliseconds. */
const pauses = [200, 800, 2000] as const;

/** The part of a stream that is sent where there are no chunks, in bytes. */
const streamPart = MiB;

/**
 * Breaks an upload off in the middle of its second part, and goes on with it as a push does: from where
 * the registry says to be, in chunks where it takes them, else in a stream.
 */
export async function resumeBroken(
  { body, signal, findings }: DoctorRun,
  trial: Trial,
): Promise<Finding> {
  const chunk =
    findings.get("chunks")?.result === "yes" ? findings.get("chunks")?.chunk : undefined;
  const size = Math.min(body.size, 2 * (chunk ?? streamPart));
  const half = Math.min(chunk ?? size, Math.floor(size / 2));
  if (half === 0) return notTried("a body of one byte cannot be interrupted");
  const blob = await body.prefix(size);
  const { result } = await trial.send("resume", blob, async (session) => {
    const send = (start: number, part: UploadBody): Promise<number> =>
      chunk === undefined
        ? session.patchAll(part, signal)
        : session.patchChunk(start, part, signal);
    await send(0, trial.part({ start: 0, end: half }));
    await send(half, brokenOff(trial.part({ start: half, end: size }))).catch((error: unknown) => {
      signal.throwIfAborted();
      // No answer is what breaking off leads to.
      if (refusalOf(error) !== undefined) throw error;
    });
    const said = await offsetAfterBreak(session, signal);
    if (said === undefined) throw odd("an interrupted upload is lost");
    if (said < half || said > size) throw odd(sayOffset({ sent: half, said }));
    if (said < size) await send(said, trial.part({ start: said, end: size }));
    await session.finish(blob.digest, undefined, signal);
  });
  return { result };
}

/** The session's word once it has one. */
async function offsetAfterBreak(
  session: UploadSession,
  signal: AbortSignal,
): Promise<number | undefined> {
  for (const pause of pauses) {
    await wait(pause, undefined, { signal });
    const said = await askedOffset(session, signal);
    if (said !== undefined) return said;
  }
  return undefined;
}

/** The body of a request that fails after half of it. */
const brokenOff = (part: UploadBody): UploadBody => ({
  size: part.size,
  async make() {
    const whole = new Response(await part.make()).body;
    let left = Math.floor(part.size / 2);
    return (
      whole?.pipeThrough(
        new TransformStream<Uint8Array, Uint8Array>({
          transform(bytes, controller) {
            controller.enqueue(bytes.subarray(0, left));
            left -= bytes.byteLength;
            if (left <= 0) throw new OcibundleError("network", "interrupted");
          },
        }),
      ) ?? ""
    );
  },
});
