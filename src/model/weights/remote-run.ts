import { type Config, readConfig } from "../session/config.ts";
import type { JobContext } from "../session/session.ts";
import { settingsOf } from "../session/settings-of.ts";

/** A job that reads remote sources; the configuration is read unless the job has it. */
export type RemoteJob = JobContext & { config?: Config };

/** How the sources of a run are reached. */
type RemoteConnection = ReturnType<typeof connectionOf>;

function connectionOf(job: RemoteJob) {
  const { env, emit, flags } = job;
  const config = job.config ?? readConfig(job);
  return {
    env,
    emit,
    plainHttp: flags.plainHttp,
    // The flags of the run are about the registry; of a source counts what is configured for its host.
    certificates: (host: string) => {
      const { insecure, caFile, certFile, keyFile } = settingsOf(config, host);
      return { insecure, caFile, certFile, keyFile };
    },
  };
}

/** What is opened when a run first asks for it, and is the same for all of the run. */
export function oncePerRun<Opened>(
  open: (connection: RemoteConnection) => Opened,
): (job: RemoteJob) => Opened {
  const runs = new WeakMap<AbortSignal, { opened: Opened }>();
  return (job) => {
    const run = runs.get(job.signal) ?? { opened: open(connectionOf(job)) };
    runs.set(job.signal, run);
    return run.opened;
  };
}
