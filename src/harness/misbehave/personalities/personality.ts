import type { Layer } from "../../registry/auth/middleware.ts";
import { blobsElsewhere, noRanges, oneRangeOnly, readsWholeBlobs } from "./downloads.ts";
import { dropsMovedManifests, layersAtMost, ociManifestsOnly } from "./manifests.ts";
import { mountsFromHereOnly, mountsNeedFrom, mountsOfReferencedBlobs, noMounts } from "./mounts.ts";
import { cookiesAreSessions, requestsWithin, tooManyRequests } from "./traffic.ts";
import {
  blobsAtMost,
  chunksAtMost,
  lengthRequired,
  noChunks,
  noSecondTry,
  noSessionState,
  parts,
  patchAnswersCreated,
  putsAtMost,
  sessionsOnly,
  stuckRange,
  uploadsWithin,
} from "./uploads.ts";

/** How a hosted registry differs from the specification. */
export interface Personality {
  /** How it asks who is there, when an account is set; with "token" anybody else gets a token too. */
  auth: "basic" | "token";
  /** Where its tokens are. */
  realm?: string;
  /** What a token lives, in milliseconds. */
  tokenLifetime?: number;
  /** The shortest chunk but the last, in bytes. */
  minChunkLength?: number;
  /** Around everything else, credentials included. */
  outer: Layer[];
  /** Between the credentials and the registry. */
  inner: Layer[];
}

/** Limits divided by how much smaller everything is; counts are at least 1. */
interface Scaled {
  bytes(bytes: number): number;
  milliseconds(milliseconds: number): number;
  count(count: number): number;
}

const KiB = 1024;
const MiB = 1024 * KiB;
const GiB = 1024 * MiB;
const second = 1000;
const minute = 60 * second;

/** What each is known for (docs/dev/embedded-registry.md, "Personalities"). */
const personalities = {
  ghcr: ({ bytes, milliseconds }) => ({
    auth: "token",
    outer: [],
    inner: [
      uploadsWithin(milliseconds(10 * minute)),
      blobsAtMost(bytes(10 * GiB)),
      chunksAtMost(bytes(4 * MiB)),
    ],
  }),
  ecr: ({ bytes, count }) => ({
    auth: "basic",
    outer: [],
    inner: [
      mountsOfReferencedBlobs(),
      patchAnswersCreated,
      stuckRange(),
      blobsAtMost(bytes(52_000 * MiB)),
      layersAtMost(500),
      parts({ least: bytes(5 * MiB), count: count(4200) }),
    ],
  }),
  "ecr-public": ({ bytes, count }) => ({
    auth: "token",
    outer: [],
    inner: [
      noSecondTry(),
      noSessionState,
      blobsAtMost(bytes(10_000 * MiB)),
      parts({ least: bytes(5 * MiB), count: count(4200) }),
    ],
  }),
  gar: () => ({ auth: "token", realm: "/v2/token", outer: [], inner: [noChunks, oneRangeOnly] }),
  acr: ({ bytes }) => ({
    auth: "token",
    realm: "/oauth2/token",
    outer: [],
    inner: [lengthRequired, putsAtMost(bytes(20 * MiB))],
  }),
  dockerhub: ({ bytes }) => ({
    auth: "token",
    outer: [tooManyRequests(25, 1)],
    inner: [mountsFromHereOnly, blobsAtMost(bytes(23 * GiB)), sessionsOnly],
  }),
  quay: ({ bytes }) => ({
    auth: "token",
    realm: "/v2/auth",
    outer: [],
    inner: [mountsNeedFrom, putsAtMost(bytes(20 * GiB))],
  }),
  harbor: ({ milliseconds }) => ({
    auth: "token",
    realm: "/service/token",
    outer: [requestsWithin(milliseconds(minute)), cookiesAreSessions],
    inner: [sessionsOnly],
  }),
  zot: ({ milliseconds }) => ({
    auth: "basic",
    outer: [requestsWithin(milliseconds(minute))],
    inner: [ociManifestsOnly, dropsMovedManifests],
  }),
  artifactory: () => ({ auth: "basic", outer: [], inner: [noMounts, noRanges] }),
  gitlab: ({ bytes, milliseconds }) => ({
    auth: "token",
    realm: "/jwt/auth",
    tokenLifetime: milliseconds(5 * minute),
    minChunkLength: bytes(5 * MiB),
    outer: [],
    // Whoever runs one may set a limit of references; this is what a small one may be.
    inner: [layersAtMost(200), sessionsOnly],
  }),
  crane: ({ bytes }) => ({ auth: "basic", outer: [], inner: [readsWholeBlobs(bytes(200 * MiB))] }),
  s3: () => {
    const { store, redirect } = blobsElsewhere();
    return { auth: "token", outer: [store], inner: [redirect] };
  },
} as const satisfies Record<string, (scaled: Scaled) => Personality>;

/** A value of `--like` of `registry-start`. */
export type PersonalityName = keyof typeof personalities;

/** All of them, for the command line. */
export const personalityNames = Object.keys(personalities) as [
  PersonalityName,
  ...PersonalityName[],
];

/** A registry's ways, with limits and times that are `scale` times smaller than its own. */
export function personality(name: PersonalityName, scale = 1): Personality {
  const smaller = (value: number): number => Math.max(1, Math.floor(value / scale));
  return personalities[name]({ bytes: smaller, milliseconds: smaller, count: smaller });
}
