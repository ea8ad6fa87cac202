import { errno, OcibundleError, isLocal } from "../../errors.ts";
import type { Descriptor } from "../../oci/descriptor.ts";
import type { RawManifest } from "../../oci/manifest.ts";
import { refusalOf } from "../../registry/refusal.ts";
import type { Registry, Repository } from "../../registry/types.ts";
import type { EmitEvent } from "../../transfer/events.ts";
import type { TrialBody } from "./body.ts";
import type { CheckName, CreatedObject, Finding } from "../../report/doctor.ts";

/**
 * What is looked at, in the order in which it is told. With `--json` these are part of the surface (docs/doctor.md).
 */
export const checkNames = [
  "api",
  "login",
  "read",
  "push",
  "put",
  "patch",
  "chunks",
  "resume",
  "mount",
  "artifact",
  "layers",
  "index",
  "docker",
  "referrers",
  "range",
  "parallel",
  "latency",
  "upload",
  "download",
  "delete-tag",
  "delete-manifest",
  "delete-blob",
] as const satisfies readonly CheckName[];

/** What the checks share: the registry at hand, what was put there, what was found. */
export interface DoctorRun {
  registry: Registry;
  repository: Repository;
  signal: AbortSignal;
  emit: EmitEvent;
  body: TrialBody;
  /** Of this run alone: eight hexadecimal digits. */
  mark: string;
  /** Put there by this run, in that order. */
  created: CreatedObject[];
  findings: Map<CheckName, Finding>;
}

/** A check that passed. */
export const yes = (more: Omit<Finding, "result"> = {}): Finding => ({ result: "yes", ...more });

/** A check that failed, and why. */
export const no = (reason: string, more: Omit<Finding, "result" | "reason"> = {}): Finding => ({
  result: "no",
  reason,
  ...more,
});

/** A check that could not be made, and why: no verdict on the registry. */
export const notTried = (reason: string): Finding => ({ result: "not tried", reason });

/**
 * Notes what `look` finds; what it throws is a "no". Only what ends the run is thrown: an interruption,
 * a programming mistake, a file of this machine, a registry that can't be reached any more.
 */
export async function check(
  run: DoctorRun,
  name: CheckName,
  look: () => Promise<Finding>,
): Promise<Finding> {
  let finding: Finding;
  try {
    finding = await look();
  } catch (error) {
    finding = no(await reasonToGoOn(run, error));
  }
  run.findings.set(name, finding);
  return finding;
}

/** The reason of a failure that only this check ends with; any other failure is thrown. */
export async function reasonToGoOn(
  { registry, signal }: Pick<DoctorRun, "registry" | "signal">,
  error: unknown,
): Promise<string> {
  signal.throwIfAborted();
  if (!(error instanceof OcibundleError)) throw error;
  // A file of this machine: nothing that a registry could help.
  if (isLocal(error) && errno(error.cause) !== undefined) throw error;
  // No answer to one request says little; no answer to any is the end.
  if (error.code === "network" && refusalOf(error) === undefined) {
    await registry.ping(signal).catch((pinged: unknown) => {
      if (refusalOf(pinged) === undefined) throw error;
    });
  }
  return reasonOf(error);
}

/** An answer that fits nothing. */
export const odd = (why: string): OcibundleError => new OcibundleError("network", why);

/** A failure in few words: the registry's, else those of what broke, without the names of both. */
export function reasonOf(error: OcibundleError): string {
  const refusal = refusalOf(error);
  if (refusal !== undefined) return refusal.message;
  return error.cause instanceof Error ? error.cause.message : error.message;
}

/** The descriptor of a manifest. Its size in bytes. */
export const descriptorOf = (manifest: RawManifest): Descriptor => ({
  mediaType: manifest.mediaType,
  digest: manifest.digest,
  size: manifest.bytes.byteLength,
});

/** Bytes a second, of bytes and the milliseconds they took. */
export const rateOf = (bytes: number, milliseconds: number): number =>
  Math.round((bytes * 1000) / Math.max(milliseconds, 0.1));
