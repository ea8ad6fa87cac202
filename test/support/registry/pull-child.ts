import { createRegistry } from "../../../src/registry/registry.ts";
import { isDigest } from "../../../src/oci/digest.ts";
import { createWorkerPool } from "../../../src/runtime/worker-pool.ts";
import { removeJournal } from "../../../src/transfer/download/download-journal.ts";
import { createDownloader } from "../../../src/transfer/download/download.ts";
import { recentBlocks } from "../../../src/transfer/download/recent-blocks.ts";

// A process that a test kills: `pull-child.ts HOST DIGEST SIZE PARTIAL JOURNAL [DIE_AT [recent]]`:
// with a number, it kills itself as soon as so many bytes are there.
const [, , host = "", digest = "", size = "", partial = "", journal = "", dieAt, recent] =
  process.argv;
if (!isDigest(digest)) throw new TypeError(`no digest: ${digest}`);
const descriptor = { mediaType: "a/b", digest, size: Number(size) };
const repository = createRegistry(host).repository("acme/llama");
const workers = createWorkerPool(1);
const downloader = createDownloader({ connections: 4, workers, emit() {} });
let there = 0;
await downloader.download(
  {
    descriptor,
    open: (range, signal) => repository.getBlob(descriptor, range, signal),
    host,
    label: "blob",
    item: "blob",
    place: { partial, journal },
  },
  {
    signal: new AbortController().signal,
    recent: recent === undefined ? undefined : recentBlocks().file(),
    onBytes(bytes) {
      there += bytes;
      if (dieAt !== undefined && there >= Number(dieAt)) process.kill(process.pid, "SIGKILL");
    },
  },
);
await removeJournal({ partial, journal });
workers.close();
