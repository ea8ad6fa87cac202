import { type Digest, shortDigest } from "../oci/digest.ts";
import type { DoctorReport } from "../report/doctor.ts";
import { formatDuration } from "./duration.ts";
import { formatRate, formatSize } from "./size.ts";
import { renderTable } from "./table.ts";
import type { View } from "./view.ts";

type DoctorFinding = DoctorReport["checks"][number];

/** One line per check: its title, whether it works, what was measured and what that means for weights. */
export function doctorReport(
  { name, checks, limits, left, milliseconds }: DoctorReport,
  { columns }: View = {},
): string {
  const works: Works = (...names) =>
    checks.some(({ check, result }) => names.includes(check) && result === "yes");
  const rows = checks.map((finding) => {
    const line = Object.hasOwn(lines, finding.check) ? lines[finding.check] : undefined;
    return [
      `  ${line?.title ?? finding.check}`,
      finding.result === "not tried" ? "-" : finding.result,
      { text: says(finding, line, works), wrap: true as const },
    ];
  });
  return [
    `${renderTable([[name]])}${renderTable(rows, { columns })}`,
    limits === null ? "" : limitLines(limits, columns),
    ...left.map(({ kind, repository, name: what }) =>
      renderTable([[`could not remove ${kind} ${what} from ${repository}`]]),
    ),
    `checked in ${formatDuration(milliseconds)}\n`,
  ].join("");
}

/** Whether one of these checks ended with a yes. */
type Works = (...names: string[]) => boolean;

interface Line {
  title: string;
  /** What was measured; nothing unless given. */
  seen?: (finding: DoctorFinding) => string;
  /** What a "yes" means for weights. */
  yes: Meaning;
  /** What a "no" means. */
  no: Meaning;
}

/** Often the same whatever else was found. */
type Meaning = string | ((finding: DoctorFinding, works: Works) => string);

function says(finding: DoctorFinding, line: Line | undefined, works: Works): string {
  const { result, reason } = finding;
  if (result === "not tried" || line === undefined) return reason ?? "";
  const meaning = result === "no" ? line.no : line.yes;
  const means = typeof meaning === "string" ? meaning : meaning(finding, works);
  return joined(result === "no" ? reason : line.seen?.(finding), means);
}

const joined = (seen: string | undefined, means: string): string =>
  seen === undefined || seen === "" ? means : `${seen}: ${means}`;

const gibibytes = 10;

/** How long a weight of ordinary size takes. */
const atThisRate = ({ bytesPerSecond = 0 }: DoctorFinding): string =>
  bytesPerSecond === 0
    ? ""
    : `${gibibytes} GiB of weights take ${formatDuration((gibibytes * 1024 ** 3 * 1000) / bytesPerSecond)}`;

const rate = ({ bytesPerSecond = 0, bytes = 0 }: DoctorFinding): string =>
  `${formatSize(bytes)} at ${formatRate(bytesPerSecond)}`;

const lookedUpAtOnce = 8;
const manyBlobs = 1000;
/** What is shorter would read "0.0 s", in milliseconds. */
const shortest = 100;

const lines: Readonly<Record<string, Line>> = {
  api: {
    title: "API",
    seen: ({ version }) => version ?? "",
    yes: "the distribution API is supported",
    no: "this may not be a registry",
  },
  login: {
    title: "login",
    seen: ({ user }) => `as ${user ?? "unknown user"}`,
    yes: "used for push and pull",
    no: "push and pull are anonymous",
  },
  read: {
    title: "pull",
    seen: ({ digest }) => (digest == null ? "no such tag yet" : shortDigest(digest as Digest)),
    yes: "these credentials can pull",
    no: "these credentials cannot pull",
  },
  push: {
    title: "push",
    yes: "these credentials can push",
    no: "these credentials cannot push",
  },
  put: {
    title: "one PUT",
    seen: rate,
    yes: "a weight can be uploaded in a single request",
    no: (_, works) =>
      works("patch", "chunks")
        ? "only small files fit one request; weights use the methods below"
        : "only small files fit one request",
  },
  patch: {
    title: "one PATCH",
    seen: rate,
    yes: "a weight of any size can be uploaded in one stream",
    no: "a weight cannot be uploaded in one stream",
  },
  chunks: {
    title: "chunks",
    seen: ({ chunk = 0, minimumChunk, ...finding }) =>
      [
        rate(finding),
        `chunks of ${formatSize(chunk)}`,
        ...(finding.reason === undefined ? [] : [`larger ones failed (${finding.reason})`]),
        ...(minimumChunk === undefined ? [] : [`minimum ${formatSize(minimumChunk)}`]),
      ].join(", "),
    yes: (_, works) =>
      works("resume")
        ? "a broken connection costs at most one chunk"
        : "weights are uploaded in chunks",
    no: (_, works) =>
      works("resume")
        ? "weights are uploaded in one stream, which can be resumed"
        : "a broken connection restarts the upload of a weight",
  },
  resume: {
    title: "resume",
    yes: "interrupted pushes resume",
    no: "interrupted uploads restart from zero",
  },
  mount: {
    title: "mount",
    yes: "weights of other repositories are mounted, not sent again",
    no: "weights are sent again to each repository",
  },
  artifact: {
    title: "weights artifact",
    yes: "weights can be stored as their own artifact",
    no: "weights cannot be stored as their own artifact; keep them in the image",
  },
  layers: {
    title: "layers",
    seen: ({ layers }) => (layers === undefined ? "" : `${layers} in a manifest`),
    yes: "weights can be stored in parts",
    no: ({ layers }) =>
      layers === undefined
        ? "weights cannot be stored in parts"
        : `weights in parts need --most-parts ${layers}`,
  },
  index: {
    title: "image index",
    yes: "image and weights can share one tag",
    no: "bundles are not accepted; push image and weights under separate tags",
  },
  docker: {
    title: "Docker manifests",
    yes: "images with Docker media types can be copied unchanged",
    no: "images with Docker media types cannot be copied unchanged",
  },
  referrers: {
    title: "referrers",
    seen: ({ filters }) => (filters === true ? "filtered by type" : "not filtered by type"),
    yes: "signatures and SBOMs are found with the referrers API",
    no: "signatures and SBOMs are found with the fallback tag",
  },
  range: {
    title: "ranges",
    seen: ({ servedBy }) => (servedBy === undefined ? "" : `blobs served by ${servedBy}`),
    yes: "interrupted pulls resume",
    no: "interrupted pulls restart from zero",
  },
  parallel: {
    title: "parallel ranges",
    seen: ({ connections = 0, ...finding }) => `${connections} connections, ${rate(finding)}`,
    yes: "large weights are pulled over several connections",
    no: "each weight is pulled over one connection",
  },
  latency: {
    title: "latency",
    seen: ({ milliseconds = 0 }) => `${milliseconds} ms`,
    yes: ({ milliseconds = 0 }) =>
      `checking ${manyBlobs.toLocaleString("en")} blobs takes about ${formatDuration(Math.max(shortest, (milliseconds * manyBlobs) / lookedUpAtOnce))}`,
    no: "latency could not be measured",
  },
  upload: {
    title: "upload",
    seen: rate,
    yes: atThisRate,
    no: "weights of this size cannot be uploaded",
  },
  download: { title: "download", seen: rate, yes: atThisRate, no: "weights cannot be downloaded" },
  "delete-tag": {
    title: "delete a tag",
    yes: "tags can be deleted",
    no: "tags cannot be deleted on their own",
  },
  "delete-manifest": {
    title: "delete a manifest",
    yes: "manifests can be deleted",
    no: "manifests stay until the registry removes them",
  },
  "delete-blob": {
    title: "delete a blob",
    yes: "blobs can be deleted",
    no: "blobs stay until the registry's garbage collection removes them",
  },
};

const sizeFact = (what: string, bytes: number | undefined): string[] =>
  bytes === undefined ? [] : [`${what} ${formatSize(bytes)}`];

function limitLines(
  limits: NonNullable<DoctorReport["limits"]>,
  columns: number | undefined,
): string {
  const { name, largestBlob, largestPut, largestChunk, smallestChunk } = limits;
  const { mostLayers, uploadTime, notes } = limits;
  const known = [
    ...sizeFact("largest blob:", largestBlob),
    ...sizeFact("largest PUT:", largestPut),
    ...sizeFact("largest chunk:", largestChunk),
    ...sizeFact("smallest chunk:", smallestChunk),
    ...(mostLayers === undefined ? [] : [`most layers: ${mostLayers}`]),
    ...(uploadTime === undefined ? [] : [`longest upload: ${formatDuration(uploadTime)}`]),
    ...notes,
  ];
  return [
    renderTable([[`known limits of ${name}`]]),
    ...known.map((fact) => renderTable([["", { text: fact, wrap: true }]], { columns })),
  ].join("");
}
