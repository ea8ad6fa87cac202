import { execFile } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { registryReader } from "../../src/registry/reader.ts";
import { createRegistry as registryClient } from "../../src/registry/registry.ts";
import { serveHttp } from "../../src/harness/registry/instance/http-server.ts";
import { createEmbeddedRegistry } from "../../src/harness/registry/routes/registry.ts";
import { openLayoutArchive } from "../../src/store/archive/archive.ts";
import { createLayoutArchive } from "../../src/store/archive/writer.ts";
import { openLayout } from "../../src/store/layout/layout.ts";
import { createLayout } from "../../src/store/layout/layout-writer.ts";
import { registryWriter } from "../../src/transfer/upload/registry-writer.ts";
import { contentStoreContract } from "./content-store.ts";

const { signal } = new AbortController();
const newDirectory = () => mkdtemp(join(tmpdir(), "ocibundle-store-"));
const remove = (directory: string) => rm(directory, { recursive: true, force: true });

const listedIn = (text: string): string[] =>
  (JSON.parse(text) as { manifests: { digest: string }[] }).manifests.map(({ digest }) => digest);

contentStoreContract("a layout directory", async () => {
  const directory = await newDirectory();
  const layout = join(directory, "layout");
  const writer = await createLayout(layout, signal);
  return {
    writer,
    read: () => openLayout(layout),
    async listed(committed) {
      if (committed) await writer.commit(signal);
      return listedIn(await readFile(join(layout, "index.json"), "utf8"));
    },
    close: () => remove(directory),
  };
});

contentStoreContract("a layout archive", async () => {
  const directory = await newDirectory();
  const path = join(directory, "layout.tar");
  const writer = await createLayoutArchive(path);
  return {
    writer,
    async read() {
      await writer.commit(signal);
      return openLayoutArchive(path, "oci-archive:layout.tar", signal);
    },
    async listed(committed) {
      // Before the end nothing has the archive's name.
      if (!committed) return (await readdir(directory)).filter((name) => name === "layout.tar");
      await writer.commit(signal);
      const { stdout } = await promisify(execFile)("tar", ["-xOf", path, "index.json"]);
      return listedIn(stdout);
    },
    async close() {
      await writer.discard();
      await remove(directory);
    },
  };
});

contentStoreContract("a repository of a registry", async () => {
  const directory = await newDirectory();
  const server = await serveHttp({
    hostname: "127.0.0.1",
    port: 0,
    handle: await createEmbeddedRegistry({ storage: directory }),
  });
  const repository = registryClient(`127.0.0.1:${server.port}`).repository("acme/llama");
  return {
    writer: registryWriter(repository),
    read: async () => registryReader(repository),
    async close() {
      await server.stop();
      await remove(directory);
    },
  };
});
