import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Service, startService } from "../../scripts/service.ts";

export interface Engine extends Service {
  /** Path of the socket it serves its API on. */
  socket: string;
}

/** Starts a Docker engine of its own, with everything it keeps below `folder`. */
export async function startDockerd(folder: string): Promise<Engine> {
  await mkdir(folder, { recursive: true });
  const socket = join(folder, "d.sock");
  const service = await startService({
    command: [
      "dockerd",
      "--iptables=false",
      "--bridge=none",
      "--storage-driver=vfs",
      `--data-root=${join(folder, "data")}`,
      `--exec-root=${join(folder, "exec")}`,
      `--pidfile=${join(folder, "pid")}`,
      `--host=unix://${socket}`,
    ],
    ready: /API listen on/,
  });
  return { ...service, socket };
}

/** Starts a containerd of its own, with everything it keeps below `folder`. */
export async function startContainerd(folder: string): Promise<Engine> {
  await mkdir(folder, { recursive: true });
  const socket = join(folder, "c.sock");
  const config = join(folder, "config.toml");
  await writeFile(
    config,
    `version = 2
root = ${JSON.stringify(join(folder, "root"))}
state = ${JSON.stringify(join(folder, "state"))}
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
