import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { findPart } from "./parts.ts";
import { program } from "./program.ts";
import { type Service, startService } from "./service.ts";

/** A registry on a loopback port, storing below a directory of the caller's. */
export interface TestRegistry extends Service {
  /** `127.0.0.1:41011` */
  address: string;
}

/** What docker-registry's config.yml has besides what every test needs. */
interface DockerRegistryConfig {
  auth?: object;
  tls?: { certificate: string; key: string; clientcas?: string[] };
  /** Pulls through: `{ remoteurl }`. */
  proxy?: object;
  /** Whether manifests may be deleted; true unless given. */
  deletes?: boolean;
  /** The loopback address that it listens on; `127.0.0.1` unless given. */
  listenOn?: "127.0.0.1" | "[::1]";
}

/** Starts Debian's docker-registry (distribution 2.8) with `directory` for its storage. */
export async function startDockerRegistry(
  directory: string,
  config: DockerRegistryConfig = {},
): Promise<TestRegistry> {
  return startDistribution("docker-registry", directory, config);
}

/** Starts distribution 3 with `directory` for its storage. */
export async function startDistribution3(directory: string): Promise<TestRegistry> {
  return startDistribution("distribution", directory, {});
}

/** Starts the registry that crane has for tests, with `directory` for its storage. */
export async function startCraneRegistry(directory: string): Promise<TestRegistry> {
  const service = await startService({
    command: [part("crane"), "registry", "serve", "--address", "127.0.0.1:0", "--disk", directory],
    ready: /serving on port (\d+)/,
  });
  return { ...service, address: `127.0.0.1:${service.ready[1]}` };
}

async function startDistribution(
  binary: string,
  directory: string,
  { auth, tls, proxy, deletes = true, listenOn = "127.0.0.1" }: DockerRegistryConfig,
): Promise<TestRegistry> {
  await mkdir(directory, { recursive: true });
  const config = join(directory, "config.yml");
  await writeFile(
    config,
    // JSON is YAML.
    JSON.stringify({
      version: "0.1",
      log: { level: "info", accesslog: { disabled: true } },
      storage: {
        filesystem: { rootdirectory: join(directory, "data") },
        delete: { enabled: deletes },
      },
      http: {
        addr: `${listenOn}:0`,
        secret: "of no value",
        ...(tls === undefined ? {} : { tls }),
      },
      ...(auth === undefined ? {} : { auth }),
      ...(proxy === undefined ? {} : { proxy }),
    }),
  );
  const service = await startService({
    command: [part(binary), "serve", config],
    ready: /listening on ((?:127\.0\.0\.1|\[::1\]):\d+)/,
  });
  return named(service);
}

/** Starts ocibundle's own registry with `directory` for its storage, and further flags. */
export async function startEmbeddedRegistry(
  directory: string,
  flags: readonly string[] = [],
): Promise<TestRegistry> {
  await mkdir(directory, { recursive: true });
  const service = await startService({
    command: [...program(), "registry-start", "--foreground", "--storage", directory, ...flags],
    // One registry runs for a working directory.
    cwd: directory,
    ready: /TEST_REGISTRY=(127\.0\.0\.1:\d+)/,
  });
  return named(service);
}

function part(name: string): string {
  const path = findPart(name);
  if (path === null) throw new Error(`${name} is not installed`);
  return path;
}

function named(service: Service): TestRegistry {
  const address = service.ready[1];
  if (address === undefined) throw new Error("the registry named no address");
  return { ...service, address };
}
