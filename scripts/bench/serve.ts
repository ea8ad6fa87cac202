import { existsSync } from "node:fs";
import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { join } from "node:path";
import { createEmbeddedRegistry } from "../../src/harness/registry/routes/registry.ts";
import { findLibrary, findPart } from "../parts.ts";
import { peakMemory } from "../peak-memory.ts";
import { program } from "../program.ts";
import { startDockerRegistry, startEmbeddedRegistry } from "../registries.ts";
import { startService } from "../service.ts";
import { type Benchmark, medianOf, ratio } from "./benchmark.ts";
import { compete, type Contestant, measure } from "./measure.ts";
import type { Figure } from "./report.ts";
import { present, type Stage } from "./stage.ts";

const library = "huggingface_hub-2.4.0";
const clients = 8;
const crowdFiles = 8;

/** In bytes. */
const memoryLimit = 250e6;

/**
 * `hf download` of one large file through `ocibundle serve`, with an empty cache and with a full one, and from
 * nginx, which serves the same file with the headers that the client needs. Then many clients at once.
 */
export const serve: Benchmark = {
  name: "serve",
  async run(stage) {
    const path = findLibrary(library);
    if (path === undefined) {
      console.error(`serve: ${library} is not installed (scripts/ci-dependencies.sh)`);
      return { results: [], figures: [] };
    }
    const { results, figures } = await single(stage, path);
    return { results, figures: [...figures, ...(await crowd(stage, path))] };
  },
};

async function single(stage: Stage, library_: string) {
  const cwd = await stage.weights(1, stage.size);
  const start = present("docker-registry") ? startDockerRegistry : startEmbeddedRegistry;
  const { address } = await stage.start(start(join(stage.directory, "serve-registry")));
  await stage.run(["push", `${address}/acme/tiny`, "--weights", "weights"], cwd);
  const cache = join(stage.directory, "serve-cache");
  const served = await startServe(stage, address, cache);
  const download = (name: string, endpoint: string, before: () => Promise<void>): Contestant => ({
    name,
    env: environment(endpoint, library_),
    command: async () => {
      const to = join(stage.directory, "downloaded");
      await rm(to, { recursive: true, force: true });
      await before();
      return [...hf, "download", "acme/tiny", "--local-dir", to];
    },
  });
  const contestants = [
    download("serve (cold cache)", served.endpoint, () =>
      rm(cache, { recursive: true, force: true }),
    ),
    download("serve (warm cache)", served.endpoint, async () => {}),
  ];
  const nginx = await startNginx(stage, cwd, served.endpoint);
  if (nginx !== undefined) contestants.push(download("nginx", nginx, async () => {}));
  const results = await compete("hf download of 1 file", stage.size, contestants, stage.runs);
  const seconds = (name: string): number | undefined => medianOf(results, name)?.seconds;
  const against = (name: string, atLeast: number): Figure[] =>
    ratio(`hf download: speed of ${name} / nginx`, seconds("nginx"), seconds(name), { atLeast });
  return {
    results,
    figures: [
      ...against("serve (cold cache)", 0.8),
      ...against("serve (warm cache)", 1),
      ...memoryOf("one client", served.pid),
    ],
  };
}

const hf = ["python3", "-c", "from huggingface_hub.cli.hf import main; main()"];

const environment = (endpoint: string, path: string): Record<string, string> => ({
  HF_ENDPOINT: endpoint,
  HF_HUB_DISABLE_PROGRESS_BARS: "1",
  HF_HUB_DISABLE_TELEMETRY: "1",
  PYTHONPATH: path,
});

async function startServe(stage: Stage, address: string, cache: string) {
  const service = await stage.start(
    startService({
      command: [...program(), "serve", "--registry", address, "--listen", "127.0.0.1:0"],
      env: { ...process.env, OCIBUNDLE_CACHE: cache },
      ready: /HF_ENDPOINT=(\S+)/,
    }),
  );
  return { endpoint: service.ready[1] ?? "", pid: service.pid };
}

const memoryOf = (what: string, pid: number): Figure[] => {
  const peak = peakMemory(pid);
  const needed = { atMost: memoryLimit / 1e6 };
  const name = `serve, ${what}: peak memory of the server`;
  return peak === undefined ? [] : [{ name, value: peak / 1e6, needed, unit: "MB" }];
};

/** nginx with the files and what the client asks of the API, which the server at `endpoint` has said. */
async function startNginx(
  stage: Stage,
  weights: string,
  endpoint: string,
): Promise<string | undefined> {
  const nginx =
    findPart("nginx") ?? (existsSync("/usr/sbin/nginx") ? "/usr/sbin/nginx" : undefined);
  if (nginx === undefined) {
    console.error("serve: nginx is not installed");
    return undefined;
  }
  const directory = join(stage.directory, "nginx");
  await mkdir(directory, { recursive: true });
  const api = `${endpoint}/api/models/acme/tiny`;
  const info = (await (await fetch(api)).json()) as { sha: string };
  await writeFile(join(directory, "info.json"), JSON.stringify(info));
  const tree = await fetch(`${api}/tree/${info.sha}?recursive=true`);
  await writeFile(join(directory, "tree.json"), await tree.text());
  const port = await freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${directory}/${name};`)
    .join(" ");
  await writeFile(
    join(directory, "nginx.conf"),
    `daemon off; user root; worker_processes 1; pid ${directory}/pid; error_log stderr notice; events {}
http { access_log off; sendfile on; ${temporary} default_type application/octet-stream;
  server { listen 127.0.0.1:${port};
    location ~ ^/acme/tiny/resolve/[^/]+/(.*)$ { alias ${weights}/weights/$1; add_header X-Repo-Commit ${info.sha}; }
    location ~ ^/api/models/acme/tiny/revision/ { default_type application/json; alias ${directory}/info.json; }
    location ~ ^/api/models/acme/tiny/tree/ { default_type application/json; alias ${directory}/tree.json; }
  } }
`,
  );
  await stage.start(
    startService({
      command: [nginx, "-c", join(directory, "nginx.conf"), "-p", directory],
      ready: /start worker process/,
    }),
  );
  return `http://127.0.0.1:${port}`;
}

const freePort = (): Promise<number> =>
  new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" ? (address?.port ?? 0) : 0));
    });
  });

/** Many clients that want the same files at once, with an empty cache: each byte is to be fetched once. */
async function crowd(stage: Stage, path: string): Promise<Figure[]> {
  const bytes = Math.floor(stage.size / crowdFiles);
  const cwd = await stage.weights(crowdFiles, bytes);
  const storage = join(stage.directory, "crowd-registry");
  await mkdir(storage, { recursive: true });
  const handler = await createEmbeddedRegistry({ storage });
  const fetched = { bytes: 0 };
  const registry = Bun.serve({
    hostname: "127.0.0.1",
    port: 0,
    idleTimeout: 0,
    maxRequestBodySize: Number.MAX_SAFE_INTEGER,
    async fetch(request) {
      const answer = await handler(request);
      const isBlob = request.method === "GET" && request.url.includes("/blobs/sha256:");
      if (isBlob) fetched.bytes += Number(answer.headers.get("content-length") ?? 0);
      return answer;
    },
  });
  stage.atEnd(() => registry.stop(true));
  const address = `127.0.0.1:${registry.port}`;
  await stage.run(["push", `${address}/acme/tiny`, "--weights", "weights"], cwd);
  fetched.bytes = 0;
  const served = await startServe(stage, address, join(stage.directory, "crowd-cache"));
  await Promise.all(
    Array.from({ length: clients }, (_, client) =>
      measure({
        name: `client ${client}`,
        env: environment(served.endpoint, path),
        command: [
          ...hf,
          "download",
          "acme/tiny",
          "--local-dir",
          join(stage.directory, `crowd-${client}`),
        ],
      }),
    ),
  );
  const lock = JSON.parse(await readFile(join(cwd, "weights.lock"), "utf8")) as {
    files: { size: number }[];
  };
  const once = lock.files.reduce((sum, { size }) => sum + size, 0);
  const what = `${clients} clients, ${crowdFiles} files`;
  return [
    {
      name: `serve, ${what}: bytes from the registry / bytes of the files`,
      value: fetched.bytes / once,
      needed: { atMost: 1 },
      unit: "",
    },
    ...memoryOf(what, served.pid),
  ];
}
