import {
  startCraneRegistry,
  startDistribution3,
  startDockerRegistry,
  startEmbeddedRegistry,
  type TestRegistry,
} from "../../../scripts/registries.ts";
import type { Part } from "./test-with.ts";

/** A registry that tests start, storing below a directory of theirs. */
export interface RealRegistry {
  name: string;
  parts: Part[];
  start(directory: string): Promise<TestRegistry>;
}

/** Every registry that a model must go to and come back from. */
export const realRegistries: readonly RealRegistry[] = [
  { name: "the embedded registry", parts: [], start: (at) => startEmbeddedRegistry(at) },
  {
    name: "docker-registry",
    parts: ["docker-registry"],
    start: (at) => startDockerRegistry(at),
  },
  { name: "distribution 3", parts: ["distribution"], start: startDistribution3 },
  { name: "crane's registry", parts: ["crane"], start: startCraneRegistry },
];
