import { errno } from "../errors.ts";
import { compressFile } from "./compress-file.ts";
import { followFile } from "./follow-file.ts";
import { hashFileSync } from "./hash-file.ts";
import type { Hashed, Job, JobMessage, WorkerMessage } from "./worker-protocol.ts";

// Often enough for a bar that moves, seldom enough to cost nothing.
const progressMilliseconds = 100;

const send = (message: WorkerMessage): void => {
  postMessage(message);
};

addEventListener("message", (event: MessageEvent<JobMessage>) => {
  void work(event.data);
});

async function work({ job, cancel }: JobMessage): Promise<void> {
  const progress = new Progress(cancel);
  try {
    send(await run(job, progress));
  } catch (error) {
    send({
      type: "failed",
      item: progress.item,
      message: error instanceof Error ? error.message : String(error),
      code: errno(error),
    });
  }
}

async function run(job: Job, progress: Progress): Promise<WorkerMessage> {
  if (job.kind === "compress") {
    return { type: "compressed", result: await compressFile(job.job, progress.add) };
  }
  if (job.kind === "follow") {
    return { type: "followed", result: await followFile(job.job, progress.add) };
  }
  const results: Hashed[] = [];
  for (const [item, file] of job.files.entries()) {
    progress.begin(item);
    results.push(hashFileSync(file, progress.add));
  }
  return { type: "hashed", results };
}

/**
 * Gathers progress and sends it at intervals; what is left at the end is known from the result.
 * Ends the job when it was cancelled.
 */
class Progress {
  item = 0;
  private bytes = 0;
  private last = performance.now();
  private readonly cancel: Int32Array;

  constructor(cancel: Int32Array) {
    this.cancel = cancel;
  }

  begin(item: number): void {
    this.item = item;
    this.bytes = 0;
  }

  readonly add = (bytes: number): void => {
    if (Atomics.load(this.cancel, 0) !== 0) throw new Error("cancelled");
    this.bytes += bytes;
    const now = performance.now();
    if (now - this.last < progressMilliseconds) return;
    this.last = now;
    send({ type: "progress", item: this.item, bytes: this.bytes });
    this.bytes = 0;
  };
}
