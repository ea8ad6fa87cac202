import { $ } from "bun";
import { mkdir, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Service, startService } from "../../../scripts/service.ts";

export interface Engine extends Service {
  /** Path of the socket it serves its API on. */
  socket: string;
}

/** Starts a Docker engine of its own, with everything it keeps below `directory`. */
export async function startDockerd(directory: string): Promise<Engine> {
  await mkdir(directory, { recursive: true });
  const socket = join(directory, "d.sock");
  const service = await startService({
    command: [
      "dockerd",
      "--iptables=false",
      "--bridge=none",
      "--storage-driver=vfs",
      `--data-root=${join(directory, "data")}`,
      `--exec-root=${join(directory, "exec")}`,
      `--pidfile=${join(directory, "pid")}`,
      `--host=unix://${socket}`,
    ],
    ready: /API listen on/,
  });
  const stop = async () => {
    await service.stop();
    // What containers on the network of the host get; it outlives the engine.
    for (const name of await readdir(join(directory, "exec/netns")).catch(() => [])) {
      await $`umount ${join(directory, "exec/netns", name)}`.nothrow().quiet();
    }
  };
  return { ...service, stop, socket };
}

/** Starts a containerd of its own, with everything it keeps below `directory`. */
export async function startContainerd(directory: string): Promise<Engine> {
  await mkdir(directory, { recursive: true });
  const socket = join(directory, "c.sock");
  const config = join(directory, "config.toml");
  await writeFile(
    config,
    `version = 2
root = ${JSON.stringify(join(directory, "root"))}
state = ${JSON.stringify(join(directory, "state"))}
disabled_plugins = ["io.containerd.grpc.v1.cri"]
[grpc]
address = ${JSON.stringify(socket)}
`,
  );
  const service = await startService({
    command: ["containerd", "--config", config],
    ready: /containerd successfully booted/,
  });
  return { ...service, socket };
}
