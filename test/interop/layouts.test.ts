import { describe, expect } from "bun:test";
import { mkdtemp, rm, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findPart } from "../../scripts/parts.ts";
import { digestOf } from "../../src/oci/digest.ts";
import { startContainerd } from "../support/programs/engines.ts";
import { testWith } from "../support/programs/test-with.ts";
import { realRegistries } from "../support/programs/real-registries.ts";
import { workbench } from "../support/programs/workbench.ts";

/** Weights that ocibundle writes for other tools, and weights that other tools wrote. */
const { makeDirectory, ocibundle, run, shared } = workbench();

const program = (name: string): string => findPart(name) ?? name;
const [first] = realRegistries;
if (first === undefined) throw new Error("no registry to test with");
const registry = shared(first.start);

const containerd = shared(startContainerd);

const names = ["weights-001.bin", "weights-002.bin"];

/** Weights in every layout, under tags that are called as the layouts are. */
const pushed = shared(async (cwd) => {
  const { address } = await registry();
  const sizes = ["-n", "2", "--min-size", "300kb", "--max-size", "2mb"];
  await ocibundle(["mock-weights", ...sizes, "--dest-prefix", "/src/weights/"], { cwd });
  const reference = (layout: string) => `${address}/acme/layouts:${layout}`;
  for (const layout of ["bundle", "modelpack", "image", "cog"]) {
    await ocibundle(["push", reference(layout), "--weights", "weights", "--layout", layout], {
      cwd,
    });
  }
  return { cwd, reference, stop: () => Promise.resolve() };
});

async function sameFiles(directory: string, expected: string): Promise<void> {
  const found = (await readdir(directory)).filter((name) => name.startsWith("weights-"));
  expect(found.toSorted()).toEqual(names);
  for (const name of names) {
    const [a, b] = [await readFile(join(directory, name)), await readFile(join(expected, name))];
    expect(a.equals(b)).toBe(true);
  }
}

describe("what ocibundle writes", () => {
  for (const layout of ["bundle", "modelpack"]) {
    testWith(["oras"], `layout ${layout} is unpacked by oras`, async () => {
      const { cwd, reference } = await pushed();
      const into = await makeDirectory("oras");
      await run([program("oras"), "pull", "--plain-http", "-o", into, reference(layout)]);
      await sameFiles(into, join(cwd, "weights"));
    });
  }

  testWith(["crane"], "layout image is an image for two platforms that crane exports", async () => {
    const { cwd, reference } = await pushed();
    for (const platform of ["linux/amd64", "linux/arm64"]) {
      const image = reference("image");
      const into = await makeDirectory("crane");
      const archive = join(into, "files.tar");
      await run([program("crane"), "export", "--insecure", "--platform", platform, image, archive]);
      await run(["tar", "-xf", archive, "-C", into]);
      await sameFiles(join(into, "models"), join(cwd, "weights"));
    }
  });

  testWith(["containerd", "ctr"], "layout image is pulled and mounted by containerd", async () => {
    const { cwd, reference } = await pushed();
    const { socket } = await containerd();
    const ctr = (...args: string[]) => run(["ctr", "--address", socket, "images", ...args]);
    await ctr("pull", "--plain-http", "--snapshotter", "native", reference("image"));
    const into = await makeDirectory("mounted");
    await ctr("mount", "--snapshotter", "native", reference("image"), into);
    try {
      await sameFiles(join(into, "models"), join(cwd, "weights"));
    } finally {
      await run(["umount", into]);
    }
  });

  testWith(["podman"], "layout image is pulled and mounted by podman", async () => {
    const { cwd, reference } = await pushed();
    const storage = await makeDirectory("podman");
    // It takes no directory of more than 50 characters, wherever temporary files are.
    const short = await mkdtemp("/tmp/podman-");
    const own = ["--root", join(storage, "root"), "--runroot", short];
    // Nothing is run, so that no runtime is needed.
    const quiet = ["--storage-driver", "vfs", "--events-backend", "none", "--runtime", "/bin/true"];
    const podman = (...args: string[]) => run([program("podman"), ...own, ...quiet, ...args]);
    try {
      await podman("pull", "--quiet", "--tls-verify=false", reference("image"));
      const mounted = (await podman("image", "mount", reference("image"))).trim();
      await sameFiles(join(mounted, "models"), join(cwd, "weights"));
    } finally {
      try {
        await podman("image", "umount", "--all");
      } finally {
        await rm(short, { recursive: true });
      }
    }
  });

  testWith(["umoci", "skopeo"], "layout image is unpacked by umoci", async () => {
    const { cwd, reference } = await pushed();
    const into = await makeDirectory("umoci");
    const copy = ["copy", "--src-tls-verify=false", "--insecure-policy"];
    const from = `docker://${reference("image")}`;
    await run([program("skopeo"), ...copy, from, `oci:${into}/layout:v1`]);
    const bundle = join(into, "bundle");
    const unpack = ["unpack", "--rootless", "--image", `${into}/layout:v1`, bundle];
    await run([program("umoci"), ...unpack]);
    await sameFiles(join(bundle, "rootfs/models"), join(cwd, "weights"));
  });

  testWith(
    ["crane", "oras"],
    "layouts bundle and image in one index, for both readers",
    async () => {
      const { cwd } = await pushed();
      const { address } = await registry();
      const reference = `${address}/acme/both:v1`;
      await ocibundle(["push", reference, "--weights", "weights", "--layout", "bundle,image"], {
        cwd,
      });
      const into = await makeDirectory("both");
      await run([program("oras"), "pull", "--plain-http", "-o", into, reference]);
      await sameFiles(into, join(cwd, "weights"));
      const archive = join(into, "files.tar");
      const platform = ["--platform", "linux/arm64"];
      await run([program("crane"), "export", "--insecure", ...platform, reference, archive]);
      await run(["tar", "-xf", archive, "-C", into]);
      await sameFiles(join(into, "models"), join(cwd, "weights"));
    },
  );

  testWith(["skopeo"], "every layout is copied by skopeo, and pulled from the copy", async () => {
    const { cwd, reference } = await pushed();
    for (const layout of ["bundle", "modelpack", "image", "cog"]) {
      const into = await makeDirectory("skopeo");
      const copy = ["copy", "--all", "--src-tls-verify=false", "--insecure-policy"];
      const [from, to] = [`docker://${reference(layout)}`, `oci:${into}/layout:v1`];
      await run([program("skopeo"), ...copy, from, to]);
      const path = layout === "image" ? ["--path", "/models"] : [];
      await ocibundle(["pull", to, "-o", into, ...path], { cwd });
      const below = layout === "image" || layout === "modelpack" ? into : join(into, "src/weights");
      await sameFiles(below, join(cwd, "weights"));
    }
  });
});

/** A weight of a project file. */
const weight = (name: string): string =>
  `  - {name: ${name}, source: ./${name}, target: /src/weights/${name}}\n`;

describe("what Cog reads", () => {
  testWith(["cog-reader"], "layout cog, with the lock that is written beside it", async () => {
    const { cwd } = await pushed();
    const { address } = await registry();
    await writeFile(join(cwd, "weights/empty.txt"), "");
    await writeFile(join(cwd, "weights/großes <Vokabular>.json"), "{}");
    const options = ["--no-lock", "--layout", "cog", "--cog-lock", "cog.lock"];
    await ocibundle(["push", `${address}/acme/by-cog:v1`, "weights", ...options], { cwd });
    const store = await makeDirectory("store");
    const said = await run([program("cog-reader"), `${address}/acme/by-cog`, "cog.lock", store], {
      cwd,
    });
    expect(said).toBe("weights: 4 files, 1 layers\n");
    for (const name of await readdir(join(cwd, "weights"))) {
      const content = await readFile(join(cwd, "weights", name));
      const hex = digestOf(content).slice("sha256:".length);
      const kept = join(store, "files/sha256", hex.slice(0, 2), hex);
      expect((await readFile(kept)).equals(content)).toBe(true);
    }
    await ocibundle(["pull", `${address}/acme/by-cog:v1`, "-o", "by-cog"], { cwd });
    await ocibundle(["verify", "cog.lock", "--dir", "by-cog"], { cwd });
  });

  testWith(["cog-reader"], "the weights of a project file, one by one", async () => {
    const { address } = await registry();
    const cwd = await makeDirectory("project");
    await writeFile(join(cwd, "cog.yaml"), `weights:\n${weight("llama.3")}${weight("clip")}`);
    for (const name of ["llama.3", "clip"]) {
      await mkdir(join(cwd, name, "sub"), { recursive: true });
      await writeFile(join(cwd, name, "sub/model.bin"), Buffer.alloc(100_000, name));
    }
    await ocibundle(["lock"], { cwd });
    const push = ["push", `${address}/acme/two-by-cog:v1`, "--layout", "cog"];
    await ocibundle([...push, "--cog-lock", "cog.lock"], { cwd });
    const store = await makeDirectory("store");
    const reader = [program("cog-reader"), `${address}/acme/two-by-cog`, "cog.lock", store];
    const said = await run(reader, { cwd });
    expect(said).toBe("llama.3: 1 files, 1 layers\nclip: 1 files, 1 layers\n");
  });
});

describe("what oras writes", () => {
  testWith(["oras"], "files and a directory are pulled", async () => {
    const { address } = await registry();
    const cwd = await makeDirectory("files");
    await mkdir(join(cwd, "tokenizer/sub"), { recursive: true });
    await writeFile(join(cwd, "model.safetensors"), Buffer.alloc(100_000, "weights"));
    await writeFile(join(cwd, "tokenizer/vocab.txt"), "a\nb\n");
    await writeFile(join(cwd, "tokenizer/sub/merges.txt"), "a b\n");
    const reference = `${address}/acme/by-oras:v1`;
    const push = ["push", "--plain-http", "--artifact-type", "application/x-acme", reference];
    await run([program("oras"), ...push, "model.safetensors", "tokenizer"], { cwd });
    const into = await makeDirectory("pulled");
    await ocibundle(["pull", reference, "-o", into]);
    for (const name of ["model.safetensors", "tokenizer/vocab.txt", "tokenizer/sub/merges.txt"]) {
      expect((await readFile(join(into, name))).equals(await readFile(join(cwd, name)))).toBe(true);
    }
  });

  testWith(["oras"], "the directory itself is pulled", async () => {
    const { address } = await registry();
    const cwd = await makeDirectory("itself");
    await writeFile(join(cwd, "model.safetensors"), Buffer.alloc(100_000, "weights"));
    const reference = `${address}/acme/itself:v1`;
    await run([program("oras"), "push", "--plain-http", reference, "."], { cwd });
    const into = await makeDirectory("pulled");
    await ocibundle(["pull", reference, "-o", into]);
    const [a, b] = [into, cwd].map((at) => readFile(join(at, "model.safetensors")));
    expect((await a)?.equals((await b) ?? Buffer.of())).toBe(true);
  });
});
