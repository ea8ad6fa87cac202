/** A process in the background that said it is ready. */
export interface Service {
  pid: number;
  /** What the line that it became ready with had in it. */
  ready: RegExpExecArray;
  /** Ends it, and resolves when it is gone. */
  stop(): Promise<void>;
}

export interface ServiceOptions {
  command: readonly [string, ...string[]];
  cwd?: string;
  env?: Record<string, string | undefined>;
  /** Matched against each line of its output; the first match means that it is ready. */
  ready: RegExp;
}

/** Long enough for an engine's first start on a busy machine, in milliseconds. */
const startTimeout = 60_000;

/** Starts a process and waits for the line that says it is ready. Throws with its output when it ends before. */
export async function startService({ command, cwd, env, ready }: ServiceOptions): Promise<Service> {
  const child = Bun.spawn([...command], {
    cwd: cwd ?? process.cwd(),
    env: env ?? process.env,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const stop = async (): Promise<void> => {
    child.kill();
    await child.exited;
  };
  const output: string[] = [];
  const found = Promise.withResolvers<RegExpExecArray>();
  // Read on after the match too: a full pipe would stop the process.
  const watch = async (stream: ReadableStream<Uint8Array<ArrayBuffer>>): Promise<void> => {
    for await (const line of lines(stream)) {
      const match = ready.exec(line);
      if (match !== null) found.resolve(match);
      output.push(line);
      if (output.length > 50) output.shift();
    }
  };
  const ended = Promise.all([watch(child.stdout), watch(child.stderr)]);
  const fail = (why: string) =>
    found.reject(new Error(`${command[0]} ${why}:\n${output.join("\n")}`));
  void ended.then(() => fail("ended before it was ready"));
  const timer = setTimeout(() => fail("did not become ready"), startTimeout);
  try {
    return { pid: child.pid, ready: await found.promise, stop };
  } catch (error) {
    await stop();
    throw error;
  } finally {
    clearTimeout(timer);
  }
}

async function* lines(stream: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<string> {
  let rest = "";
  for await (const text of stream.pipeThrough(new TextDecoderStream())) {
    const parts = (rest + text).split("\n");
    rest = parts.pop() ?? "";
    yield* parts;
  }
  if (rest !== "") yield rest;
}
