import { errno } from "../errors.ts";
import { streamStep } from "./byte-streams.ts";
import { chooseCodec } from "./choose-codec.ts";
import { compressFile } from "./compress-file.ts";
import { runCopyJob } from "./copy-job.ts";
import { followFile } from "./follow-file.ts";
import { hashFileSync, hashPlacesSync } from "./hash-file.ts";
import { runPartJob } from "./part-job.ts";
import { placeFiles } from "./place-job.ts";
import { probeFile } from "./probe-file.ts";
import { packSmallFile } from "./small-file.ts";
import type { Hashed, Job, JobMessage, LaneMessage, WorkerMessage } from "./worker-protocol.ts";

// Often enough for a bar that moves, seldom enough to cost nothing.
const progressMilliseconds = 100;

type Send = (message: WorkerMessage) => void;

addEventListener("message", (event: MessageEvent<JobMessage>) => {
  void work(event.data);
});

async function work({ job, lane, cancel }: JobMessage): Promise<void> {
  const send: Send = (message) => {
    const tagged: LaneMessage = { ...message, lane };
    postMessage(tagged);
  };
  const progress = new Progress(cancel, send);
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
  switch (job.kind) {
    case "stream":
      return { type: "streamed", hex: streamStep(job.step) };
    case "hash":
      return {
        type: "hashed",
        results: job.files.map((file, item) => {
          progress.begin(item);
          return hashFileSync(file, progress.add);
        }),
      };
    case "hash-parts":
      return {
        type: "hashed",
        results: job.items.map((item, at) => {
          progress.begin(at);
          return hashPlacesSync(item, progress.add);
        }),
      };
    case "probe":
      return {
        type: "probed",
        results: job.files.map(({ path, size }, item) => {
          progress.begin(item);
          return probeFile(path, size);
        }),
      };
    case "pack":
      return {
        type: "packed",
        results: job.files.map((file, item) => {
          progress.begin(item);
          return packSmallFile(file, job.options);
        }),
      };
    case "follow":
      return { type: "followed", result: await followFile(job.job, progress.add) };
    case "parts": {
      const results: Hashed[] = [];
      for (const one of job.jobs) results.push(await runPartJob(one, progress.add));
      return { type: "parts", results };
    }
    case "copy":
      return { type: "copied", bytes: await runCopyJob(job.job, progress.add) };
    case "place":
      return { type: "placed", results: placeFiles(job.files) };
    case "choose":
      return {
        type: "chosen",
        results: job.ranges.map((range, item) => {
          progress.begin(item);
          return chooseCodec(range, job.minSaving);
        }),
      };
    case "compress":
      return { type: "compressed", result: await compressFile(job.job, progress.add) };
  }
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
  private readonly send: Send;

  constructor(cancel: Int32Array, send: Send) {
    this.cancel = cancel;
    this.send = send;
  }

  begin(item: number): void {
    this.item = item;
    this.bytes = 0;
    this.stopIfCancelled();
  }

  readonly add = (bytes: number): void => {
    this.stopIfCancelled();
    this.bytes += bytes;
    const now = performance.now();
    if (now - this.last < progressMilliseconds) return;
    this.last = now;
    this.send({ type: "progress", item: this.item, bytes: this.bytes });
    this.bytes = 0;
  };

  private stopIfCancelled(): void {
    if (Atomics.load(this.cancel, 0) !== 0) throw new Error("cancelled");
  }
}
