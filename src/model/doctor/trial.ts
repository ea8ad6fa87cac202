import type { ByteRange } from "../../oci/content.ts";
import type { UploadBody, UploadSession } from "../../registry/types.ts";
import { uploadBody } from "../../transfer/upload/upload-body.ts";
import { isSlow } from "../../transfer/upload/chunk-size.ts";
import type { TrialDescriptor } from "./body.ts";
import { type DoctorRun, odd, rateOf, yes } from "./check.ts";
import type { Finding } from "../../report/doctor.ts";

/** What the checks of one run of `doctor` share: what they sent, and how to send more. */
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

/** What a trial of uploads works with. */
export function openTrial({ body, emit, repository, signal, created }: DoctorRun): Trial {
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
    if (created.some(({ name }) => name === digest)) return;
    created.push({ kind: "blob", repository: repository.name, name: digest, bytes: size });
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
        if (has !== blob.size) throw odd("the blob was accepted but does not exist");
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
  repository: DoctorRun["repository"],
  signal: AbortSignal,
): Promise<UploadSession> {
  const answer = await repository.startUpload({}, signal);
  if (answer.mounted) throw odd("the registry mounted a blob that was not requested");
  return answer.session;
}
