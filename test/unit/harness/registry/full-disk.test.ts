import { appendFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, expect, test } from "bun:test";
import { mediaTypes } from "../../../../src/oci/media-types.ts";
import { mountTmpfs } from "../../../support/store/small-disk.ts";
import { registry } from "../../../support/registry/embedded-client.ts";

const MiB = 1024 * 1024;
const disk = mountTmpfs(4 * MiB);
afterAll(() => disk?.remove());

test.skipIf(disk === undefined)(
  "whatever a full disk refuses is answered with 507 (needs to mount)",
  async () => {
    const path = disk?.path ?? "";
    const { send, codes } = await registry({ storage: join(path, "registry") });
    const started = await send("POST", "/v2/acme/llama/blobs/uploads/");
    const location = started.headers.get("location") ?? "";
    const appended = await send("PATCH", location, new Uint8Array(8 * MiB));
    expect(appended.status).toBe(507);
    const fill = join(path, "fill");
    writeFileSync(fill, "");
    expect(() => {
      for (;;) appendFileSync(fill, new Uint8Array(4096));
    }).toThrow("ENOSPC");
    const index = {
      schemaVersion: 2,
      mediaType: mediaTypes.ociIndex,
      manifests: [],
      annotations: { long: "x".repeat(9000) },
    };
    const headers = { "Content-Type": mediaTypes.ociIndex };
    const put = await send("PUT", "/v2/acme/llama/manifests/v1", JSON.stringify(index), headers);
    expect(put.status).toBe(507);
    expect(await codes(put)).toEqual(["UNKNOWN"]);
  },
);
