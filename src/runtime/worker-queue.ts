import { runtime } from "./current.ts";
import type { Hashed, Job, JobMessage, WorkerMessage } from "./worker-protocol.ts";

/** Cancellation and progress of one job. */
export interface JobOptions {
  signal: AbortSignal;
  /**
   * Further bytes read from the file with this index in the job: about ten times a second, and the
   * rest before the job's promise resolves.
   */
  onBytes?: ((bytes: number, item: number) => void) | undefined;
}

/** What a failed job's error carries besides its message. */
interface JobFailure extends Error {
  code?: string;
  item: number;
}

// A worker that does not answer a cancellation hangs in a read; it is ended from outside then.
const patienceMilliseconds = 300;

interface Task {
  job: Job;
  options: JobOptions;
  /** How many bytes of each file were reported as read. */
  reported: Map<number, number>;
  /** Takes the job back while it waits for a worker. */
  withdraw(): void;
  resolve(message: WorkerMessage): void;
  reject(error: unknown): void;
}

interface Member {
  worker: Worker;
  task: Task | undefined;
  release(): void;
}

/** Workers, and the jobs that wait for one. */
export interface WorkerQueue {
  /** Resolves to the message with which a worker ended the job. Rejects as the jobs of `WorkerPool`. */
  submit(job: Job, options: JobOptions): Promise<WorkerMessage>;
  /** Ends the workers, and the jobs that are not done with an error. */
  close(): void;
}

/** At most `size` workers, each started when there is a job and none is idle. */
export function createWorkerQueue(size: number, start = runtime.startWorker): WorkerQueue {
  const members = new Set<Member>();
  const waiting: Task[] = [];
  let closed = false;

  const submit = (job: Job, options: JobOptions): Promise<WorkerMessage> =>
    new Promise((resolve, reject) => {
      if (closed) throw new Error("the worker pool is closed");
      const task: Task = {
        job,
        options,
        reported: new Map(),
        resolve,
        reject,
        withdraw: () => withdraw(task),
      };
      waiting.push(task);
      options.signal.addEventListener("abort", task.withdraw);
      schedule();
    });

  const withdraw = (task: Task): void => {
    const index = waiting.indexOf(task);
    if (index === -1) return;
    waiting.splice(index, 1);
    task.options.signal.removeEventListener("abort", task.withdraw);
    task.reject(task.options.signal.reason);
  };

  const schedule = (): void => {
    while (waiting.length > 0) {
      const member = [...members].find(({ task }) => task === undefined) ?? grow();
      const task = member === undefined ? undefined : waiting.shift();
      if (member === undefined || task === undefined) return;
      task.options.signal.removeEventListener("abort", task.withdraw);
      if (task.options.signal.aborted) task.reject(task.options.signal.reason);
      else assign(member, task);
    }
  };

  const grow = (): Member | undefined => {
    if (members.size >= size) return undefined;
    const member: Member = { worker: start(), task: undefined, release() {} };
    members.add(member);
    member.worker.addEventListener("message", (event: MessageEvent<WorkerMessage>) => {
      receive(member, event.data);
    });
    member.worker.addEventListener("error", (event) => {
      event.preventDefault();
      drop(member, new Error(`a worker failed: ${event.message}`));
    });
    return member;
  };

  const assign = (member: Member, task: Task): void => {
    const cancel = new Int32Array(new SharedArrayBuffer(Int32Array.BYTES_PER_ELEMENT));
    const { signal } = task.options;
    let patience: ReturnType<typeof setTimeout> | undefined;
    const abort = (): void => {
      Atomics.store(cancel, 0, 1);
      patience = setTimeout(() => drop(member, signal.reason), patienceMilliseconds);
    };
    signal.addEventListener("abort", abort, { once: true });
    member.task = task;
    member.release = () => {
      clearTimeout(patience);
      signal.removeEventListener("abort", abort);
      member.task = undefined;
      keepProcessOpen(member.worker, false);
    };
    keepProcessOpen(member.worker, true);
    const message: JobMessage = { job: task.job, cancel };
    member.worker.postMessage(message, []);
  };

  const receive = (member: Member, message: WorkerMessage): void => {
    const { task } = member;
    if (task === undefined) return;
    if (message.type === "progress") {
      report(task, message.item, message.bytes);
      return;
    }
    member.release();
    schedule();
    if (task.options.signal.aborted) task.reject(task.options.signal.reason);
    else if (message.type === "failed") task.reject(failure(message));
    else {
      reportRest(task, message);
      task.resolve(message);
    }
  };

  const drop = (member: Member, error: unknown): void => {
    const { task } = member;
    member.release();
    members.delete(member);
    member.worker.terminate();
    task?.reject(error);
    schedule();
  };

  return {
    submit,
    close() {
      closed = true;
      const error = new Error("the worker pool was closed");
      for (const task of waiting.splice(0)) task.reject(error);
      for (const member of members) drop(member, error);
    },
  };
}

function report({ options, reported }: Task, item: number, bytes: number): void {
  reported.set(item, (reported.get(item) ?? 0) + bytes);
  options.onBytes?.(bytes, item);
}

function reportRest(task: Task, message: WorkerMessage): void {
  for (const [item, { size }] of whatWasRead(message).entries()) {
    const rest = size - (task.reported.get(item) ?? 0);
    if (rest > 0) report(task, item, rest);
  }
}

function whatWasRead(message: WorkerMessage): readonly Pick<Hashed, "size">[] {
  switch (message.type) {
    case "hashed":
      return message.results;
    case "packed":
      return message.results.map(({ original }) => original);
    case "compressed":
      return [message.result.input];
    case "followed":
      return [message.result];
    default:
      return [];
  }
}

function failure({ message, code, item }: WorkerMessage & { type: "failed" }): JobFailure {
  return Object.assign(new Error(message), { item, ...(code === undefined ? {} : { code }) });
}

/** An idle worker must not hold the process open. Deno's has no such switch: there, `close` does it. */
function keepProcessOpen(worker: Worker, open: boolean): void {
  const switchable = worker as Worker & { ref?(): void; unref?(): void };
  if (open) switchable.ref?.();
  else switchable.unref?.();
}
