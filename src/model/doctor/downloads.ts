import { createHash } from "node:crypto";
import { OcibundleError } from "../../errors.ts";
import { parallel } from "../../flow/parallel.ts";
import type { ByteRange } from "../../oci/content.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { check, type DoctorRun, no, rateOf, yes } from "./check.ts";
import type { Finding } from "../../report/doctor.ts";

/** Ranges asked for at once, and lookups of which the middle one counts. */
const rangesAtOnce = 4;
const lookups = 9;

/** The largest range that is asked for to see whether there are ranges at all, in bytes. */
const trialRange = 64 * 1024;

/** A blob that is on the registry, and how much of it is read. */
export interface TrialBlob {
  descriptor: Descriptor;
  /** In bytes, from its start. */
  size: number;
  /** The hexadecimal sha256 that a part must have, where that is known. */
  hash?: (range: ByteRange) => Promise<string>;
}

/** Reads a blob in every way that a pull does, and measures. */
export async function checkDownloads(run: DoctorRun, blob: TrialBlob): Promise<void> {
  const { emit } = run;
  emit({ type: "phase", phase: "download", items: 2, bytes: 2 * blob.size });
  await check(run, "range", () => checkRange(run, blob));
  const one = await measured(run, blob, "one stream", 1);
  await check(run, "parallel", async () => {
    if (run.findings.get("range")?.result !== "yes") {
      return no("range requests are not supported");
    }
    const rate = await fetchBlob(run, blob, `${rangesAtOnce} ranges`, rangesAtOnce);
    return yes({ bytes: blob.size, bytesPerSecond: rate, connections: rangesAtOnce });
  });
  await check(run, "download", () => Promise.resolve(best(run, blob.size, one)));
}

/** How long it takes to ask whether something is there. */
export async function checkLatency(run: DoctorRun, blob: Descriptor | undefined): Promise<void> {
  const { registry, repository, signal } = run;
  await check(run, "latency", async () => {
    const times: number[] = [];
    // The first one may have to connect.
    for (let count = 0; count <= lookups; count += 1) {
      const started = performance.now();
      if (blob === undefined) await registry.ping(signal);
      else await repository.headBlob(blob.digest, signal);
      if (count > 0) times.push(performance.now() - started);
    }
    const middle = times.toSorted((a, b) => a - b)[Math.floor(lookups / 2)] ?? 0;
    return yes({ milliseconds: Math.round(middle * 10) / 10 });
  });
}

/** A part from the middle, which only a registry with ranges can give. */
async function checkRange(
  { registry, repository, signal }: DoctorRun,
  { descriptor, size, hash }: TrialBlob,
): Promise<Finding> {
  const start = Math.floor(size / 3);
  const range = { start, end: Math.min(size, start + trialRange) };
  const answer = await repository.getBlob(descriptor, range, signal);
  if (answer.range.start !== range.start || answer.range.end !== range.end) {
    await answer.body.cancel().catch(() => undefined);
    return no("the whole blob was returned instead of a range (200)");
  }
  await readPart(answer.body, range, hash);
  const { host } = await registry.ask(
    {
      method: "GET",
      path: `${repository.name}/blobs/${descriptor.digest}`,
      headers: { range: "bytes=0-0" },
      repositories: [{ name: repository.name, actions: ["pull"] }],
    },
    signal,
  );
  return yes(sameHost(host, registry.host) ? {} : { servedBy: host });
}

// Docker's registry has another name on the wire than people write.
const sameHost = (host: string, registry: string): boolean =>
  host === registry || (registry === "docker.io" && host.endsWith(".docker.io"));

async function measured(
  run: DoctorRun,
  blob: TrialBlob,
  item: string,
  ranges: number,
): Promise<Finding> {
  const { findings } = run;
  const finding = await check(run, "download", async () => {
    const rate = await fetchBlob(run, blob, item, ranges);
    return yes({ bytes: blob.size, bytesPerSecond: rate });
  });
  findings.delete("download");
  return finding;
}

/** The faster of one stream and of ranges at once. */
function best({ findings }: DoctorRun, bytes: number, one: Finding): Finding {
  const many = findings.get("parallel")?.bytesPerSecond;
  if (one.bytesPerSecond === undefined && many === undefined) return one;
  return yes({ bytes, bytesPerSecond: Math.max(one.bytesPerSecond ?? 0, many ?? 0) });
}

/** Reads a blob in so many parts at once; resolves to the rate in bytes a second. */
async function fetchBlob(
  { repository, signal, emit }: DoctorRun,
  { descriptor, size, hash }: TrialBlob,
  item: string,
  ranges: number,
): Promise<number> {
  emit({ type: "start", phase: "download", item, group: "doctor", bytes: size });
  const onBytes = (bytes: number): void =>
    emit({ type: "progress", phase: "download", item, bytes });
  const part = Math.ceil(size / ranges);
  const parts = Array.from({ length: ranges }, (_, index) => ({
    start: Math.min(size, index * part),
    end: Math.min(size, (index + 1) * part),
  })).filter(({ start, end }) => start < end);
  try {
    const started = performance.now();
    await parallel(parts, parts.length, signal, async (range, stop) => {
      const whole = range.start === 0 && range.end === size;
      const { body } = await repository.getBlob(descriptor, whole ? undefined : range, stop);
      await readPart(body, range, hash, onBytes);
    });
    return rateOf(size, performance.now() - started);
  } finally {
    emit({ type: "done", phase: "download", item });
  }
}

/** Reads a part to its end, or as much of a longer stream, and checks what came. Throws `integrity`. */
async function readPart(
  body: ReadableStream<Uint8Array>,
  range: ByteRange,
  hash: TrialBlob["hash"],
  onBytes?: (bytes: number) => void,
): Promise<void> {
  const size = range.end - range.start;
  const hashed = createHash("sha256");
  const reader = body.getReader();
  let seen = 0;
  while (seen < size) {
    const { done, value } = await reader.read();
    if (done) break;
    const wanted = value.subarray(0, size - seen);
    hashed.update(wanted);
    seen += wanted.byteLength;
    onBytes?.(wanted.byteLength);
  }
  await reader.cancel().catch(() => undefined);
  if (seen < size) {
    throw new OcibundleError("integrity", `received ${seen} of ${size} bytes`);
  }
  if (hash !== undefined && hashed.digest("hex") !== (await hash(range))) {
    throw new OcibundleError("integrity", "the received bytes differ from those sent");
  }
}
