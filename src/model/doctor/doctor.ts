import { systemTemp, tempDirectory } from "../../image/conversion/temp-directory.ts";
import { refuseForeign } from "../../image/source/foreign-source.ts";
import { OcibundleError, withContext } from "../../errors.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import { formatReference, parseReference, type Reference } from "../../oci/reference.ts";
import { limitsOf } from "../../registry/limits.ts";
import { registryReader } from "../../registry/reader.ts";
import { refusalOf } from "../../registry/refusal.ts";
import type { Registry } from "../../registry/types.ts";
import { readGraph } from "../graph/content-graph.ts";
import { type TrialBody, trialBody } from "./body.ts";
import { check, checkNames, type DoctorRun, no, notTried, reasonToGoOn, yes } from "./check.ts";
import { cleanUp } from "./cleanup.ts";
import { checkDownloads, checkLatency, type TrialBlob } from "./downloads.ts";
import { putDockerImage } from "./docker-manifest.ts";
import { checkManifests } from "./manifests.ts";
import { checkMount } from "./mount.ts";
import { openUpload } from "./trial.ts";
import { checkUploads } from "./uploads.ts";
import { connect } from "../session/connect.ts";
import { type JobContext, openSession, type Session } from "../session/session.ts";
import type { CheckName, DoctorReport, Finding, CreatedObject } from "../../report/doctor.ts";

/** What is examined. */
export interface DoctorRequest {
  /** A repository, with or without a tag; nothing need be there. */
  reference: string;
  /** Of the trial body, in bytes. */
  size: number;
}

/** What cleaning up may take after an interruption, in milliseconds. */
const lastCleanup = 10_000;

/**
 * Tries out what a registry can do for weights, with tags and blobs of its own in the reference's
 * repository, which it removes where the registry lets it. What a registry can't do is a finding.
 *
 * Throws `network` when it can't be reached or is no registry, `denied` when neither reading nor pushing
 * is allowed, `usage`, `file`.
 */
export async function examineRegistry(
  job: JobContext,
  { reference: text, size }: DoctorRequest,
): Promise<DoctorReport> {
  const started = performance.now();
  refuseForeign(text);
  const reference = parseReference(text);
  const name = formatReference(reference);
  try {
    const session = openSession(job);
    const { host } = reference;
    const login: Login = { asked: false, as: undefined };
    const registry = connect(session, host, (credential) => {
      login.asked = true;
      login.as ??= credential;
    });
    const warn = (message: string): void => session.emit({ type: "warning", message });
    const temp = tempDirectory(session.tempDir, { parent: systemTemp(), warn });
    await using body = await trialBody(temp, size, session.signal);
    const run = openExamination(session, registry, reference, body);
    const left = await examine(run, reference, login);
    return {
      name,
      host,
      size,
      checks: checkNames.map((of) => ({
        check: of,
        ...(run.findings.get(of) ?? notTried("not reached")),
      })),
      limits: limitsOf(host) ?? null,
      left,
      milliseconds: Math.round(performance.now() - started),
    };
  } catch (error) {
    throw withContext(`doctor ${name}`, error);
  }
}

const openExamination = (
  { signal, emit }: Session,
  registry: Registry,
  { repository }: Reference,
  body: TrialBody,
): DoctorRun => ({
  registry,
  repository: registry.repository(repository),
  signal,
  emit,
  body,
  mark: crypto.randomUUID().slice(0, 8),
  created: [],
  findings: new Map(),
});

/** Whether the registry wanted to know who one is, and what it was told. */
interface Login {
  asked: boolean;
  as: { kind: "password" | "refresh" | "bearer"; username?: string } | undefined;
}

async function examine(
  run: DoctorRun,
  reference: Reference,
  login: Login,
): Promise<CreatedObject[]> {
  const { signal } = run;
  await checkApi(run);
  const root = await checkAccess(run, reference, login);
  let left: CreatedObject[] = [];
  let done = false;
  try {
    const trial = await tryWriting(run);
    await tryReading(run, trial ?? (await storedBlob(run, root)));
    done = true;
  } finally {
    // What an interrupted run has put there is in nobody's way if it can be helped.
    const end = signal.aborted ? AbortSignal.timeout(lastCleanup) : signal;
    const cleaning = cleanUp(run, end);
    left = done ? await cleaning : await cleaning.catch(() => run.created);
    if (!done && left.length > 0) run.emit({ type: "warning", message: leftBehind(left) });
  }
  return left;
}

const leftBehind = (left: readonly CreatedObject[]): string =>
  `left on the registry: ${left.map(({ kind, repository, name }) => `${kind} ${name} in ${repository}`).join(", ")}`;

/** Whether there is a registry at all. Throws `network` where nobody answers, `denied` for a wrong password. */
async function checkApi(run: DoctorRun): Promise<void> {
  const { registry, signal } = run;
  await registry.ping(signal).catch((error: unknown) => {
    if (refusalOf(error) === undefined) throw error;
  });
  await check(run, "api", async () => {
    const { status, headers, said } = await registry.ask({ method: "GET", path: "" }, signal);
    // Some say nothing to who is not logged in, and let everybody pull all the same.
    if (status !== 200 && status !== 401 && status !== 403) return no(said);
    const version = headers.get("docker-distribution-api-version");
    return yes(version === null ? {} : { version });
  });
}

/**
 * Whether one may read and push, and as whom. Resolves to what the reference stands for. Throws `denied`
 * when neither is allowed, `network` for what does not answer as a registry.
 */
async function checkAccess(
  run: DoctorRun,
  reference: Reference,
  login: Login,
): Promise<Descriptor | undefined> {
  const { repository, registry, signal, findings } = run;
  let root: Descriptor | undefined;
  let refused: unknown;
  await check(run, "read", async () => {
    try {
      root = await repository.headManifest(reference.digest ?? reference.tag ?? "latest", signal);
      return yes(root === undefined ? {} : { digest: root.digest });
    } catch (error) {
      refused = error;
      throw error;
    }
  });
  await check(run, "push", async () => {
    const upload = await openUpload(repository, signal);
    await upload.cancel();
    return yes();
  });
  if (findings.get("push")?.result === "no" && root === undefined) {
    if (refused instanceof OcibundleError && refused.code === "denied") throw refused;
    if (refused !== undefined || findings.get("api")?.result === "no") {
      throw new OcibundleError("network", `${registry.host} does not answer as a registry`, {
        hint: `check that ${registry.host} is a registry`,
        cause: refused,
      });
    }
  }
  findings.set("login", loginOf(login));
  return root;
}

function loginOf({ asked, as }: Login): Finding {
  if (!asked) return no("the registry requires no login");
  if (as === undefined) return no("no credentials are stored");
  if (as.username !== undefined && as.username !== "") return yes({ user: as.username });
  return yes({ user: as.kind === "bearer" ? "a registry token" : "an identity token" });
}

/** Everything that puts something there, where that is allowed. Resolves to the trial body, where it was taken. */
async function tryWriting(run: DoctorRun): Promise<TrialBlob | undefined> {
  const { findings, body } = run;
  if (findings.get("push")?.result !== "yes") {
    for (const name of writing) findings.set(name, notTried("pushing is not allowed"));
    return undefined;
  }
  const [blob] = await checkUploads(run);
  await checkManifests(run, blob);
  await check(run, "docker", () => putDockerImage(run));
  await checkMount(run, blob);
  if (blob === undefined) return undefined;
  return { descriptor: blob, size: blob.size, hash: (range) => body.hash(range) };
}

const writing = [
  "put",
  "patch",
  "chunks",
  "resume",
  "upload",
  "mount",
  "artifact",
  "layers",
  "index",
  "docker",
  "referrers",
] as const satisfies readonly CheckName[];

async function tryReading(run: DoctorRun, blob: TrialBlob | undefined): Promise<void> {
  await checkLatency(run, blob?.descriptor);
  if (blob !== undefined) return checkDownloads(run, blob);
  for (const name of ["range", "parallel", "download"] as const) {
    run.findings.set(name, notTried("no blob to read"));
  }
}

/** The largest blob of what the reference stands for, of which no more is read than of a trial body. */
async function storedBlob(
  run: DoctorRun,
  root: Descriptor | undefined,
): Promise<TrialBlob | undefined> {
  if (root === undefined) return undefined;
  const { repository, signal, body } = run;
  try {
    const reader = registryReader(repository);
    const { blobs } = await readGraph(
      reader,
      await reader.readManifest(root.digest, signal),
      signal,
    );
    const [largest] = blobs.toSorted((a, b) => b.descriptor.size - a.descriptor.size);
    if (largest === undefined || largest.descriptor.size === 0) return undefined;
    const { descriptor } = largest;
    return { descriptor, size: Math.min(descriptor.size, body.size) };
  } catch (error) {
    await reasonToGoOn(run, error);
    return undefined;
  }
}
