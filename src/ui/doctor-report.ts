import { formatDuration } from "./duration.ts";
import { formatRate, formatSize } from "./size.ts";
import { renderTable } from "./table.ts";

/** What one check of `doctor` has shown. Sizes in bytes, times in milliseconds. */
export interface DoctorFinding {
  check: string;
  result: "yes" | "no" | "not tried";
  reason?: string;
  version?: string;
  user?: string;
  digest?: string;
  bytes?: number;
  bytesPerSecond?: number;
  chunk?: number;
  minimumChunk?: number;
  filters?: boolean;
  servedBy?: string;
  connections?: number;
  milliseconds?: number;
}

/** What `doctor` shows. */
export interface DoctorView {
  name: string;
  checks: readonly DoctorFinding[];
  limits: {
    name: string;
    largestBlob?: number;
    largestPut?: number;
    largestChunk?: number;
    chunks?: boolean;
    smallestChunk?: number;
    uploadTime?: number;
    notes: readonly string[];
  } | null;
  left: readonly { kind: string; repository: string; name: string }[];
  milliseconds: number;
}

/** A line a check: what it is called, whether it works, what was seen and what that means for weights. */
export function doctorReport({ name, checks, limits, left, milliseconds }: DoctorView): string {
  const works: Works = (...names) =>
    checks.some(({ check, result }) => names.includes(check) && result === "yes");
  const rows = checks.map((finding) => {
    const line = Object.hasOwn(lines, finding.check) ? lines[finding.check] : undefined;
    return [
      `  ${line?.title ?? finding.check}`,
      finding.result === "not tried" ? "-" : finding.result,
      says(finding, line, works),
    ];
  });
  return [
    `${renderTable([[name]])}${renderTable(rows)}`,
    limits === null ? "" : limitLines(limits),
    ...left.map(({ kind, repository, name: what }) =>
      renderTable([[`could not be removed: ${kind} ${what} in ${repository}`]]),
    ),
    `examined in ${formatDuration(milliseconds)}\n`,
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

const gigabytes = 10;

/** How long a weight of ordinary size takes. */
const atThisRate = ({ bytesPerSecond = 0 }: DoctorFinding): string =>
  bytesPerSecond === 0
    ? ""
    : `${gigabytes} GB of weights take ${formatDuration((gigabytes * 1e12) / bytesPerSecond)}`;

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
    yes: "it speaks the distribution API",
    no: "it may be no registry",
  },
  login: {
    title: "login",
    seen: ({ user }) => `as ${user ?? "somebody"}`,
    yes: "this is who pushes and pulls",
    no: "you push and pull as nobody in particular",
  },
  read: {
    title: "pull",
    seen: ({ digest }) => digest ?? "nothing has this tag yet",
    yes: "who has this login can pull",
    no: "what is there can't be pulled with this login",
  },
  push: {
    title: "push",
    yes: "you may push here",
    no: "you can only pull",
  },
  put: {
    title: "one PUT",
    seen: rate,
    yes: "a weight may go in the request that ends its upload",
    no: (_, works) =>
      works("patch", "chunks")
        ? "only small files go in one request; weights take the ways below"
        : "only small files go in one request",
  },
  patch: {
    title: "one PATCH",
    seen: rate,
    yes: "a weight goes up in one stream, whatever its size",
    no: "a weight does not go up in one stream",
  },
  chunks: {
    title: "chunks",
    seen: ({ chunk = 0, minimumChunk, ...finding }) =>
      [
        rate(finding),
        `of ${formatSize(chunk)}`,
        ...(finding.reason === undefined ? [] : [`not of more (${finding.reason})`]),
        ...(minimumChunk === undefined ? [] : [`at least ${formatSize(minimumChunk)}`]),
      ].join(", "),
    yes: (_, works) =>
      works("resume")
        ? "a connection that breaks costs one chunk of a weight"
        : "weights go up piece by piece",
    no: (_, works) =>
      works("resume")
        ? "weights go up in one stream, which goes on where it broke"
        : "a connection that breaks costs all that was sent of a weight",
  },
  resume: {
    title: "resume",
    yes: "a push that was interrupted goes on where it was",
    no: "an upload that breaks off starts from nothing",
  },
  mount: {
    title: "mount",
    yes: "weights that another repository has are not sent again",
    no: "weights are sent anew to each repository",
  },
  artifact: {
    title: "weights artifact",
    yes: "weights are stored on their own, beside any image",
    no: "weights can't be stored on their own here; keep them in the image",
  },
  index: {
    title: "image index",
    yes: "image and weights are one tag",
    no: "a bundle does not go here; push image and weights under a tag each",
  },
  docker: {
    title: "Docker's manifests",
    yes: "images with Docker's media types can be copied here unchanged",
    no: "images with Docker's media types cannot be copied here unchanged",
  },
  referrers: {
    title: "referrers",
    seen: ({ filters }) => (filters === true ? "filtered by type" : "not filtered by type"),
    yes: "signatures and SBOMs of weights are found by asking",
    no: "signatures and SBOMs of weights are found by a tag that is kept for them",
  },
  range: {
    title: "ranges",
    seen: ({ servedBy }) => (servedBy === undefined ? "" : `blobs come from ${servedBy}`),
    yes: "a pull that breaks off goes on where it was",
    no: "a pull that breaks off starts from nothing",
  },
  parallel: {
    title: "parallel ranges",
    seen: ({ connections = 0, ...finding }) => `${connections} at once, ${rate(finding)}`,
    yes: "a large weight comes over several connections",
    no: "a weight comes over one connection",
  },
  latency: {
    title: "latency",
    seen: ({ milliseconds = 0 }) => `${milliseconds} ms`,
    yes: ({ milliseconds = 0 }) =>
      `whether ${manyBlobs} blobs are there is known in ${formatDuration(Math.max(shortest, (milliseconds * manyBlobs) / lookedUpAtOnce))}`,
    no: "nobody knows how long it takes to ask what is there",
  },
  upload: { title: "upload", seen: rate, yes: atThisRate, no: "weights of this size do not go up" },
  download: { title: "download", seen: rate, yes: atThisRate, no: "weights do not come down" },
  "delete-tag": {
    title: "delete a tag",
    yes: "a model can be taken back",
    no: "a tag goes with its manifest, if at all",
  },
  "delete-manifest": {
    title: "delete a manifest",
    yes: "the weights of a model can be let go",
    no: "manifests stay until the registry removes them by itself",
  },
  "delete-blob": {
    title: "delete a blob",
    yes: "the space of weights can be had back at once",
    no: "the space of weights comes back when the registry clears up by itself",
  },
};

const sizeFact = (what: string, bytes: number | undefined): string[] =>
  bytes === undefined ? [] : [`${what} ${formatSize(bytes)}`];

function limitLines(limits: NonNullable<DoctorView["limits"]>): string {
  const { name, largestBlob, largestPut, largestChunk, smallestChunk, uploadTime, notes } = limits;
  const known = [
    ...sizeFact("a weight has at most", largestBlob),
    ...sizeFact("one PUT takes at most", largestPut),
    ...sizeFact("a chunk has at most", largestChunk),
    ...sizeFact("a chunk has at least", smallestChunk),
    ...(uploadTime === undefined ? [] : [`an upload takes at most ${formatDuration(uploadTime)}`]),
    ...notes,
  ];
  return renderTable([[`known of ${name}`], ...known.map((fact) => [`  ${fact}`])]);
}
