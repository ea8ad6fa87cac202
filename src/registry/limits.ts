/** What is known of a hosted registry before it is asked: what its operators write, and what was seen of it. */
export interface RegistryLimits {
  /** What people call it. */
  name: string;
  /** The largest blob, in bytes. */
  largestBlob?: number;
  /** The largest blob that goes in the body of one PUT, in bytes. */
  largestPut?: number;
  /** The largest chunk, in bytes: one PATCH with Content-Range. */
  largestChunk?: number;
  /** False where an upload can't be sent in chunks. */
  chunks?: boolean;
  /** The smallest chunk but for the last, in bytes. */
  smallestChunk?: number;
  /** The most layers of a manifest. */
  mostLayers?: number;
  /** What one upload may take, in milliseconds. */
  uploadTime?: number;
  /** What else matters for weights: clauses without a period. */
  notes: readonly string[];
}

const MiB = 1024 ** 2;
const GiB = 1024 ** 3;

/**
 * Hosted registries by their hosts. Where "GB" is written and either kind may be meant, the larger one
 * is taken: what would have gone through is not to be refused. What anybody may run under any name
 * (Harbor, zot, Artifactory on one's own host) can't be told from its host and is not here.
 */
const known: readonly { host: RegExp; limits: RegistryLimits }[] = [
  {
    host: /^ghcr\.io$/,
    limits: {
      name: "GitHub Container Registry",
      largestBlob: 10 * GiB,
      largestChunk: 4 * MiB,
      uploadTime: 10 * 60_000,
      notes: ["chunks over 4 MiB are rejected, but one body of any size is accepted"],
    },
  },
  {
    host: /^\d+\.dkr[.-]ecr(?:-fips)?\.[a-z0-9-]+\.(?:amazonaws\.com(?:\.cn)?|on\.aws)$/,
    limits: {
      name: "Amazon ECR",
      largestBlob: 52_000 * MiB,
      mostLayers: 500,
      smallestChunk: 5 * MiB,
      notes: [
        "a blob is mounted only if a manifest in its repository lists it",
        "a repository must be created before the first push",
      ],
    },
  },
  {
    host: /^public\.ecr\.aws$/,
    limits: {
      name: "Amazon ECR Public",
      largestBlob: 10_000 * MiB,
      smallestChunk: 5 * MiB,
      notes: ["interrupted uploads cannot be resumed"],
    },
  },
  {
    host: /^(?:[a-z0-9-]+\.pkg\.dev|(?:[a-z0-9-]+\.)?gcr\.io)$/,
    limits: {
      name: "Google Artifact Registry",
      chunks: false,
      notes: ["chunked uploads are not supported: interrupted uploads restart from zero"],
    },
  },
  {
    host: /^[a-z0-9-]+\.azurecr\.(?:io|cn|us)$/,
    limits: {
      name: "Azure Container Registry",
      largestPut: 20 * MiB,
      notes: ["request bodies without Content-Length are rejected"],
    },
  },
  {
    host: /^docker\.io$/,
    limits: {
      name: "Docker Hub",
      notes: [
        "no successful uploads of blobs of 23 GB or more are known",
        "pulls are rate-limited",
      ],
    },
  },
  {
    host: /^quay\.io$/,
    limits: {
      name: "Quay",
      largestPut: 20 * GiB,
      notes: ["mounting requires the source repository"],
    },
  },
  {
    host: /^[a-z0-9-]+\.jfrog\.io$/,
    limits: {
      name: "Artifactory",
      notes: ["mounts are refused, and some versions answer range requests with 400"],
    },
  },
];

/** What is known of the registry with this host, as a {@link Reference} has it; undefined where nothing is. */
export const limitsOf = (host: string): RegistryLimits | undefined =>
  known.find((entry) => entry.host.test(host))?.limits;
