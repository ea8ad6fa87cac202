import { join } from "node:path";
import {
  sampleLayers,
  type SampleOptions,
  writeSampleImage,
} from "../../../scripts/sample-image.ts";
import { writeLock } from "../../../src/model/lock/lock.ts";
import type { JobContext } from "../../../src/model/session/session.ts";
import type { TransferEvent } from "../../../src/transfer/events.ts";
import { temporaryDirectory, writeFiles } from "../temporary-directory.ts";

export interface Job extends JobContext {
  events: TransferEvent[];
  warnings(): string[];
}

/** The flags of a job where none was given. Frozen, since tests in one process share them. */
export const noFlags: JobContext["flags"] = Object.freeze({
  concurrency: undefined,
  plainHttp: false,
  insecure: false,
  caFile: undefined,
  certFile: undefined,
  keyFile: undefined,
});

/** What a command hands to a job, in a directory and with a cache of its own. */
export function jobIn(cwd: string, env: Readonly<Record<string, string>> = {}): Job {
  const events: TransferEvent[] = [];
  return {
    env: {
      HOME: cwd,
      OCIBUNDLE_CACHE: join(cwd, ".cache"),
      DOCKER_CONFIG: join(cwd, ".docker"),
      DOCKER_HOST: `unix://${join(cwd, "no-engine.sock")}`,
      ...env,
    },
    cwd,
    signal: new AbortController().signal,
    emit: (event) => void events.push(event),
    // A copy: some tests set one of them.
    flags: { ...noFlags },
    events,
    warnings: () => events.flatMap((event) => (event.type === "warning" ? [event.message] : [])),
  };
}

/** A job in a directory with `weights/`, locked as they are, and the image `oci:image:v1`. */
export async function preparedJob(
  files: Readonly<Record<string, string | Uint8Array>>,
  image: SampleOptions = {},
): Promise<Job> {
  const job = jobIn(await temporaryDirectory());
  await writeFiles(join(job.cwd, "weights"), files);
  await lock(job);
  await writeSampleImage(join(job.cwd, "image"), "v1", sampleLayers("print('hello')\n"), image);
  return job;
}

/** Locks what is in `weights/`, stored as it is. */
export const lock = (job: Job, compression: "none" | "zstd" | "gzip" = "none") =>
  writeLock(job, { paths: ["weights"], dest: undefined, output: undefined, compression });
