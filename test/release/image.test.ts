import { describe, expect } from "bun:test";
import { chownSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import manifest from "../../package.json";
import { startEmbeddedRegistry } from "../../scripts/registries.ts";
import { startDockerd } from "../support/programs/engines.ts";
import { testWith } from "../support/programs/test-with.ts";
import { workbench } from "../support/programs/workbench.ts";
import { isLeftOut, ofRelease } from "../support/release.ts";

const archive = ofRelease("ocibundle-image.tar");
const nonroot = 65_532;
const arm64 = "qemu-aarch64";

const { makeDirectory, ocibundle, run, shared } = workbench();
const registry = shared((at) => startEmbeddedRegistry(at));
const dockerd = shared(startDockerd);

interface Inspected {
  manifests: { digest: string; platform: { architecture: string } }[];
}

const read = async <T>(path: string): Promise<T> => (await Bun.file(path).json()) as T;

/** The image in a registry, as a release pushes it. */
async function pushed(): Promise<string> {
  const { address } = await registry();
  const reference = `${address}/ocibundle/ocibundle:v${manifest.version}`;
  await ocibundle(["copy", `oci-archive:${archive}`, reference]);
  return reference;
}

/** The files of a platform's image, unpacked layer by layer. */
async function unpacked(architecture: string): Promise<string> {
  const cwd = await makeDirectory("image");
  const layout = join(cwd, "layout");
  mkdirSync(layout);
  await run(["tar", "-xf", archive, "-C", layout]);
  const blob = (digest: string) => join(layout, "blobs", digest.replace(":", "/"));
  const index = await read<Inspected>(join(layout, "index.json"));
  const { manifests } = await read<Inspected>(blob(index.manifests[0]?.digest ?? ""));
  const one = manifests.find(({ platform }) => platform.architecture === architecture);
  const { layers } = await read<{ layers: { digest: string }[] }>(blob(one?.digest ?? ""));
  const root = join(cwd, "root");
  mkdirSync(root);
  for (const { digest } of layers) await run(["tar", "-xzf", blob(digest), "-C", root]);
  return root;
}

describe.skipIf(isLeftOut(archive))("the image of a release", () => {
  testWith(
    ["dockerd", "docker"],
    "runs as a user without rights, with its own libraries and certificates",
    async () => {
      const image = await pushed();
      const { socket } = await dockerd();
      const env = { DOCKER_HOST: `unix://${socket}` };
      await run(["docker", "pull", "-q", image], { env });
      const work = await makeDirectory("work");
      mkdirSync(join(work, "weights"));
      writeFileSync(join(work, "weights/a.bin"), Buffer.alloc(3_000_000, "weights "));
      const hardened = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges"];
      const inside = (...args: string[]) => {
        const mounts = ["-v", `${work}:/work`, "-w", "/work"];
        const cache = "--env=OCIBUNDLE_CACHE=/work/cache";
        const flags = ["--rm", "--network=host", cache, ...hardened, ...mounts];
        return run(["docker", "run", ...flags, image, ...args], { env });
      };
      const { address } = await registry();
      const model = `${address}/acme/inside:v1`;

      // Its own user is no root, and one that it does not know can start it where its image says.
      const format = "{{.Config.User}}";
      const user = await run(["docker", "image", "inspect", `--format=${format}`, image], { env });
      expect(user).toBe(`${nonroot}:${nonroot}\n`);
      const plain = ["docker", "run", "--rm", ...hardened, "--network=none"];
      for (const flags of [[], ["--user=1234:1234"]]) {
        const said = await run([...plain, ...flags, image, "--version"], { env });
        expect(said).toStartWith(`${manifest.version} (`);
      }

      chownSync(work, nonroot, nonroot);
      await inside("push", model, "weights");
      await inside("pull", model, "-o", "models");
      await inside("verify", "weights.lock", "--dir", "models");
      await ocibundle(["verify", model]);
    },
  );

  testWith(
    [],
    "has what scanners look for, and nothing that can be started beside the program",
    async () => {
      const root = await unpacked("amd64");
      const text = (path: string) => Bun.file(join(root, path)).text();
      expect(await text("etc/os-release")).toContain("ID=debian\n");
      expect(await text("var/lib/dpkg/status.d/libc6")).toContain("Package: libc6\n");
      const certificates = await text("etc/ssl/certs/ca-certificates.crt");
      expect(certificates.match(/BEGIN CERTIFICATE/g)?.length).toBeGreaterThan(100);
      const started = await run(["find", root, "-type", "f", "-perm", "/111", "-printf", "%P\n"]);
      const programs = started
        .split("\n")
        .filter((path) => path !== "" && !/\.so\.\d+$/.test(path));
      expect(programs).toEqual(["usr/local/bin/ocibundle"]);
    },
  );

  testWith([arm64], "has an arm64 program that runs with the libraries of its image", async () => {
    const root = await unpacked("arm64");
    const said = await run([arm64, "-L", root, join(root, "usr/local/bin/ocibundle"), "--version"]);
    expect(said).toStartWith(`${manifest.version} (`);
  });
});
