import { createHash, randomBytes } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import pLimit from "p-limit";
import { program } from "./program.ts";
import { sampleLayers, writeSampleImage } from "./sample-image.ts";

/** How many use a registry at the same moment. */
export interface CrowdSize {
  pushes: number;
  pulls: number;
}

/** What is to hold. */
export const fullCrowd: CrowdSize = { pushes: 50, pulls: 200 };

/** A client at its most, in bytes. What they all share, as the program's own pages, counts each time. */
const clientBytes = 60e6;

/** The memory that a crowd needs on its machine, in bytes. */
export const memoryNeeded = ({ pushes, pulls }: CrowdSize): number =>
  (pushes + pulls) * clientBytes + serverMemoryLimit;

/**
 * What the embedded registry may take at its most while a full crowd uses it, in bytes: 100 MB for itself and
 * its buffers, and for each of the 300 blobs that are then sent at once what the runtime reads ahead of the
 * handler, which is somewhat more than 1 MiB; and a quarter more: the collector frees what was read late.
 */
export const serverMemoryLimit = 640e6;

/** A weight file of a model. */
export interface WeightFile {
  name: string;
  bytes: Uint8Array;
  digest: string;
}

/** A model in a directory of its own, and where it goes. */
export interface Model {
  directory: string;
  /** Below the registry: `crowd/pushed-1:v1` */
  reference: string;
  files: readonly WeightFile[];
}

/** One process of a crowd. */
export interface Member {
  model: Model;
  /** Where a pull put the files; undefined for a push. */
  target: string | undefined;
  code: number;
  stdout: string;
  stderr: string;
}

export interface Crowd {
  members: Member[];
  /** From the first start to the last end. */
  seconds: number;
  /** Bytes of weights that were named to the processes, shared ones each time. */
  bytes: number;
}

const MiB = 2 ** 20;

/** Files that all models have, in repositories of their own: they are sent by all at the same time. */
const shared = { files: 2, bytes: MiB };
/** The file that only one model has: a push's keeps the server's buffers busy, a pull's is fetched fifty times. */
const own = { pushed: 8 * MiB, pulled: 3 * MiB };
/** Models that are there before, for the pulls. */
const models = 4;

/** Processes that make ready, at once. */
const makers = 4;

/**
 * Lets many processes use the registry at `address` (`127.0.0.1:41011`) at the same moment: each push sends
 * a model of its own, of which a part is in the others too; each pull fetches one of some models that were
 * pushed before, with a cache and a directory of its own. All files are below `directory`.
 */
export async function gatherCrowd(
  directory: string,
  address: string,
  { pushes, pulls }: CrowdSize,
): Promise<Crowd> {
  const common = Array.from({ length: shared.files }, (_, index) =>
    weightFile(`shared-${index}`, shared.bytes),
  );
  const make = (kind: "pulled" | "pushed", count: number): Promise<Model[]> =>
    fewAtATime(
      Array.from({ length: count }, (_, index) => `${kind}-${index}`),
      (name) => makeModel(join(directory, name), name, [...common, weightFile("own", own[kind])]),
    );
  const pulled = await make("pulled", models);
  await fewAtATime(pulled, async (model) => {
    await succeed(pushCommand(address, model), model.directory);
  });
  const pushed = await make("pushed", pushes);

  const began = performance.now();
  const members = await Promise.all([
    ...pushed.map(async (model) => {
      const ended = await run(pushCommand(address, model), model.directory);
      return { model, target: undefined, ...ended };
    }),
    ...Array.from({ length: pulls }, async (_, index) => {
      const model = pulled[index % pulled.length];
      if (model === undefined) throw new Error("there is nothing to pull");
      const home = join(directory, `pull-${index}`);
      const target = join(home, "models");
      const command = ["pull", `${address}/${model.reference}`, "-o", target];
      return { model, target, ...(await run(command, directory, home)) };
    }),
  ]);
  const seconds = (performance.now() - began) / 1000;
  const bytes = members.reduce((sum, { model }) => sum + sizeOf(model), 0);
  return { members, seconds, bytes };
}

const sizeOf = ({ files }: Model): number =>
  files.reduce((sum, { bytes }) => sum + bytes.length, 0);

const pushCommand = (address: string, { reference }: Model): string[] => [
  "push",
  `${address}/${reference}`,
  "--image=oci:image:v1",
  "--weights=weights",
  "--json",
];

function weightFile(name: string, size: number): WeightFile {
  const bytes = randomBytes(size);
  return { name, bytes, digest: `sha256:${createHash("sha256").update(bytes).digest("hex")}` };
}

async function makeModel(
  directory: string,
  name: string,
  files: readonly WeightFile[],
): Promise<Model> {
  await mkdir(join(directory, "weights"), { recursive: true });
  for (const file of files) await writeFile(join(directory, "weights", file.name), file.bytes);
  await writeSampleImage(join(directory, "image"), "v1", sampleLayers(`print("${name}")\n`));
  await succeed(["lock", "weights", "--dest", "/src/weights"], directory);
  return { directory, reference: `crowd/${name}:v1`, files };
}

/** Does the same with each, a few at a time. */
async function fewAtATime<From, To>(
  all: readonly From[],
  work: (one: From) => Promise<To>,
): Promise<To[]> {
  const limit = pLimit(makers);
  return await Promise.all(all.map((one) => limit(work, one)));
}

/** Runs the program for what the crowd needs before. Throws with what it said unless it succeeds. */
async function succeed(args: readonly string[], cwd: string): Promise<void> {
  const { code, stderr } = await run(args, cwd);
  if (code !== 0) throw new Error(`${args.join(" ")} exited with ${code}: ${stderr}`);
}

/** Runs the program to its end with a cache and a home of its own below `home`. */
async function run(
  args: readonly string[],
  cwd: string,
  home: string = cwd,
): Promise<Pick<Member, "code" | "stdout" | "stderr">> {
  const child = Bun.spawn([...program(), ...args], {
    cwd,
    env: {
      PATH: process.env["PATH"] ?? "",
      HOME: home,
      OCIBUNDLE_CACHE: join(home, "cache"),
      DOCKER_CONFIG: join(home, "docker"),
      OCIBUNDLE_PROGRESS: "none",
    },
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
  });
  const [stdout, stderr, code] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
    child.exited,
  ]);
  return { code, stdout, stderr };
}
