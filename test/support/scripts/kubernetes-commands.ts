import { spawnSync } from "node:child_process";
import { chmod, chown, copyFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { parseAllDocuments } from "yaml";
import * as v from "valibot";
import type { ScriptCommand, ScriptState } from "./state.ts";

/** What is used of a pod; everything else of a manifest changes nothing here. */
const ContainerSchema = v.object({
  name: v.string(),
  command: v.optional(v.array(v.string()), []),
  args: v.optional(v.array(v.string()), []),
  env: v.optional(v.array(v.object({ name: v.string(), value: v.optional(v.string(), "") })), []),
  securityContext: v.optional(
    v.strictObject({
      runAsNonRoot: v.optional(v.literal(true)),
      runAsUser: v.optional(v.number()),
      runAsGroup: v.optional(v.number()),
      readOnlyRootFilesystem: v.boolean(),
      allowPrivilegeEscalation: v.literal(false),
      capabilities: v.strictObject({ drop: v.tuple([v.literal("ALL")]) }),
    }),
  ),
  volumeMounts: v.optional(
    v.array(
      v.strictObject({
        name: v.string(),
        mountPath: v.string(),
        subPath: v.optional(v.string(), ""),
        readOnly: v.optional(v.boolean(), false),
      }),
    ),
    [],
  ),
});

const PodSchema = v.object({
  metadata: v.object({ name: v.string() }),
  spec: v.object({
    securityContext: v.optional(
      v.object({
        runAsNonRoot: v.literal(true),
        runAsUser: v.number(),
        runAsGroup: v.number(),
        fsGroup: v.optional(v.number()),
        fsGroupChangePolicy: v.optional(v.literal("OnRootMismatch")),
      }),
    ),
    initContainers: v.optional(v.array(ContainerSchema), []),
    containers: v.array(ContainerSchema),
    volumes: v.optional(
      v.array(
        v.object({
          name: v.string(),
          emptyDir: v.optional(v.object({})),
          persistentVolumeClaim: v.optional(v.object({})),
          hostPath: v.optional(v.object({ path: v.string(), type: v.literal("Directory") })),
          secret: v.optional(v.object({ items: v.array(v.object({ path: v.string() })) })),
        }),
      ),
      [],
    ),
  }),
});

/** A pod, or what makes pods. */
const ManifestSchema = v.object({
  metadata: v.object({ name: v.string() }),
  spec: v.optional(v.record(v.string(), v.unknown())),
});

type Pod = v.InferOutput<typeof PodSchema>;
type Container = v.InferOutput<typeof ContainerSchema>;

const repository = resolve(import.meta.dir, "../../..");

async function readPod(page: string, name: string): Promise<Pod> {
  const text = await readFile(join(repository, page), "utf8");
  for (const [, block = ""] of text.matchAll(/^```yaml\n(.*?)^```$/gms)) {
    for (const document of parseAllDocuments(block)) {
      const { metadata, spec } = v.parse(ManifestSchema, document.toJS());
      if (metadata.name !== name || spec === undefined) continue;
      const job = spec["jobTemplate"] as { spec: Record<string, unknown> } | undefined;
      const template = (job?.spec ?? spec)["template"] as { spec: unknown } | undefined;
      return v.parse(PodSchema, { metadata, spec: template?.spec ?? spec });
    }
  }
  throw new Error(`${page} has no pod "${name}"`);
}

/** The directory that a volume is on this machine: below $WORK/node for a node's, else the pod's own. */
async function volumeDirectory(pod: Pod, name: string, state: ScriptState): Promise<string> {
  const volume = pod.spec.volumes.find((one) => one.name === name);
  if (volume === undefined) throw new Error(`there is no volume "${name}"`);
  const work = state.env["WORK"] ?? "";
  if (volume.hostPath !== undefined) return join(work, "node", volume.hostPath.path);
  const directory = join(work, "pods", pod.metadata.name, name);
  await mkdir(directory, { recursive: true });
  for (const { path } of volume.secret?.items ?? []) {
    // What `kubectl create secret docker-registry` makes of a name and a password is what a login keeps.
    await copyFile(join(state.env["DOCKER_CONFIG"] ?? "", "config.json"), join(directory, path));
    await chmod(join(directory, path), 0o644);
  }
  const fsGroup = pod.spec.securityContext?.fsGroup;
  if (volume.emptyDir !== undefined && fsGroup === undefined) {
    // An emptyDir is for everyone in the pod, and a new claim is root's.
    await chmod(directory, 0o777);
  }
  if (volume.secret === undefined && fsGroup !== undefined) {
    // What a kubelet does for a volume of the pod: the group owns it and may write.
    await chown(directory, 0, fsGroup);
    await chmod(directory, 0o2775);
  }
  return directory;
}

/** A word of a shell's command line. */
const quoted = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/**
 * A shell script that runs a container's command as a kubelet would: file systems of its own, the root
 * one without anything that can be written, another user without capabilities, and no environment but
 * its own.
 */
async function containerScript(
  pod: Pod,
  container: Container,
  state: ScriptState,
): Promise<string> {
  const root = join(state.env["WORK"] ?? "", "roots", `${pod.metadata.name}-${container.name}`);
  await mkdir(root, { recursive: true });
  const bind = (from: string, to: string, readOnly: boolean): string[] => [
    `mkdir -p ${quoted(root + to)}`,
    `mount --bind ${quoted(from)} ${quoted(root + to)}`,
    ...(readOnly ? [`mount -o remount,bind,ro ${quoted(root + to)}`] : []),
  ];
  const lines = ["set -e", `mount -t tmpfs tmpfs ${quoted(root)}`];
  for (const directory of ["/bin", "/sbin", "/lib", "/lib64", "/usr", "/etc"]) {
    lines.push(
      `if [ -L ${directory} ]; then cp -P ${directory} ${quoted(root + directory)}`,
      `elif [ -e ${directory} ]; then ${bind(directory, directory, true).join("; ")}; fi`,
    );
  }
  lines.push(...bind("/dev", "/dev", false), ...bind("/proc", "/proc", false));
  // The program, wherever it is, and the programs of the script.
  for (const directory of new Set([repository, ...state.program.map((path) => dirname(path))])) {
    lines.push(...bind(directory, directory, true));
  }
  lines.push(...bind(join(dirname(state.env["HOME"] ?? ""), "bin"), "/opt/bin", true));
  for (const { name, mountPath, subPath, readOnly } of container.volumeMounts) {
    const directory = join(await volumeDirectory(pod, name, state), subPath);
    lines.push(...bind(directory, mountPath, readOnly));
  }
  if (container.securityContext?.readOnlyRootFilesystem === true) {
    lines.push(`mount -o remount,ro ${quoted(root)}`);
  }
  const registry = state.env["TEST_REGISTRY"] ?? "";
  const words = [...container.command, ...container.args].map((word) =>
    word.replace(/(?<=^|=)registry\.example\.com\//, `${registry}/`),
  );
  const { fsGroup } = pod.spec.securityContext ?? {};
  const { runAsUser, runAsGroup } = { ...pod.spec.securityContext, ...container.securityContext };
  const groups = fsGroup === undefined ? "--clear-groups" : `--groups=${fsGroup}`;
  const user =
    runAsUser === undefined
      ? ""
      : `setpriv --reuid=${runAsUser} --regid=${runAsGroup} ${groups} --bounding-set=-all --inh-caps=-all --no-new-privs`;
  const env = [
    "HOME=/",
    "PATH=/opt/bin:/usr/local/bin:/usr/bin:/bin",
    ...container.env.map(({ name, value }) => `${name}=${value}`),
  ];
  lines.push(
    `exec chroot ${quoted(root)} ${user} env -i ${env.map(quoted).join(" ")} ${words.map(quoted).join(" ")}`,
  );
  return lines.join("\n");
}

/** Commands that run what docs/kubernetes.md says. */
export const kubernetesCommands = {
  /**
   * `kubernetes PAGE POD CONTAINER FILE`: writes a script to FILE that runs a container of a pod of a page,
   * with the script's registry, expected registry.example.com.
   */
  async kubernetes({ args: [page = "", name = "", containerName = "", file = ""], state }) {
    const pod = await readPod(page, name);
    const all = [...pod.spec.initContainers, ...pod.spec.containers];
    const container = all.find((one) => one.name === containerName);
    if (container === undefined) throw new Error(`there is no container "${containerName}"`);
    const script = await containerScript(pod, container, state);
    const path = resolve(state.cwd, file);
    await writeFile(
      path,
      `#!/bin/sh\nexec unshare --mount -- sh -c '${script.replaceAll("'", String.raw`'\''`)}'\n`,
    );
    await chmod(path, 0o755);
  },
  /**
   * `shell-of PAGE FILE [TEXT]`: writes the page's first `sh` block, or the first one that contains TEXT, to
   * FILE, with `$NODE` before its absolute paths below /var.
   */
  async "shell-of"({ args: [page = "", file = "", wanted = ""], state }) {
    const text = await readFile(join(repository, page), "utf8");
    const blocks = [...text.matchAll(/^```sh\n(.*?)^```$/gms)].map(([, block = ""]) => block);
    const block = blocks.find((one) => one.includes(wanted));
    if (block === undefined) throw new Error(`${page} has no shell commands with "${wanted}"`);
    await writeFile(resolve(state.cwd, file), block.replaceAll(" /var/", ' "$NODE"/var/'));
  },
} satisfies Record<string, ScriptCommand>;

/** Whether containers can be run here as the page says: by root, with the tools for it. */
export const canRunContainers = (): boolean =>
  process.getuid?.() === 0 &&
  ["unshare", "setpriv", "chroot"].every((tool) => Bun.which(tool) !== null) &&
  spawnSync("unshare", ["--mount", "true"]).status === 0;
