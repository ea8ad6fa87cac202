import type { RegistryLimits } from "../registry/limits.ts";

/** What `doctor` found; with `--json` its shape is part of the surface (docs/doctor.md). */
export interface DoctorReport {
  name: string;
  host: string;
  /** Of the trial body, in bytes. */
  size: number;
  checks: ({ check: CheckName } & Finding)[];
  /** What is known of this host beforehand. */
  limits: RegistryLimits | null;
  /** What was put there and could not be removed. */
  left: CreatedObject[];
  milliseconds: number;
}

/** In the order in which they are reported: part of the surface with `--json` (docs/doctor.md). */
export type CheckName =
  | "api"
  | "login"
  | "read"
  | "push"
  | "put"
  | "patch"
  | "chunks"
  | "resume"
  | "mount"
  | "artifact"
  | "layers"
  | "index"
  | "docker"
  | "referrers"
  | "range"
  | "parallel"
  | "latency"
  | "upload"
  | "download"
  | "delete-tag"
  | "delete-manifest"
  | "delete-blob";

/** What one look has shown. What is not known of it is absent; sizes in bytes, times in milliseconds. */
export interface Finding {
  result: "yes" | "no" | "not tried";
  /** Why it is not a "yes", in the registry's words where it said some. */
  reason?: string;
  /** `api`: the version that the registry names. */
  version?: string;
  /** `login`: who the registry was told that one is. */
  user?: string;
  /** `read`: what the reference stands for. */
  digest?: string;
  /** Of the trial body. */
  bytes?: number;
  bytesPerSecond?: number;
  /** `chunks`: of the size that went through. */
  chunk?: number;
  /** `chunks`: what the registry asks for at least, or no member. */
  minimumChunk?: number;
  /** `layers`: how many layers a manifest had that was taken. */
  layers?: number;
  /** `referrers`: whether the registry filters the list by type. */
  filters?: boolean;
  /** `range`: the host that blobs come from, where it is another than the registry's. */
  servedBy?: string;
  /** `parallel`: ranges asked for at once. */
  connections?: number;
  /** `latency`. */
  milliseconds?: number;
}

/** Something put on the registry for a trial, to be taken away again. */
export type CreatedObject =
  | { kind: "tag"; repository: string; name: string }
  | { kind: "manifest" | "blob"; repository: string; name: string; bytes: number };
