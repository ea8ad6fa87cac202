import { describe, expect } from "bun:test";
import { copyFileSync, existsSync, mkdirSync } from "node:fs";
import { basename, join } from "node:path";
import manifest from "../../package.json";
import { findLibrary } from "../../scripts/parts.ts";
import { testWith } from "../support/programs/test-with.ts";
import { workbench } from "../support/programs/workbench.ts";
import { afterwards } from "../support/afterwards.ts";
import { isLeftOut, ofRelease } from "../support/release.ts";

const archive = ofRelease("ocibundle-linux-amd64-musl.tar.gz");
const root = join(import.meta.dir, "../..");

const { makeDirectory, run } = workbench();

describe.skipIf(isLeftOut(archive))("a system with musl and no glibc", () => {
  testWith(
    ["musl-system-1"],
    "gets the binary for musl from install.sh, and takes a model through a round with it",
    async () => {
      const system = join(await makeDirectory("musl"), "system");
      await run(["cp", "-a", findLibrary("musl-system-1") ?? "", system]);
      copyFileSync(join(root, "scripts/try-binary.sh"), join(system, "try-binary.sh"));
      copyFileSync(ofRelease("install.sh"), join(system, "install.sh"));
      const server = Bun.serve({
        hostname: "127.0.0.1",
        port: 0,
        fetch: ({ url }) => new Response(Bun.file(ofRelease(basename(new URL(url).pathname)))),
      });
      afterwards(() => server.stop(true));
      mkdirSync(join(system, "etc"), { recursive: true });
      const mounts = ["proc", "dev"].map((name) => `mount --bind /${name} ${system}/${name}`);
      const inside = (script: string, url = server.url.href) =>
        run([
          "unshare",
          "--mount",
          "sh",
          "-c",
          `${mounts.join(" && ")} && exec chroot ${system} /bin/env -i PATH=/usr/local/bin:/bin HOME=/root OCIBUNDLE_RELEASE_URL=${url} ${script}`,
        ]);
      const installed = await inside("/bin/sh /install.sh");
      expect(installed).toStartWith(`installed ocibundle ${manifest.version} (`);
      expect(await inside("/bin/sh /try-binary.sh /usr/local/bin/ocibundle")).toEndWith(
        "/usr/local/bin/ocibundle went the whole round\n",
      );

      // As on an Alpine that nothing was added to.
      await run([
        "rm",
        join(system, "usr/lib/libstdc++.so.6"),
        join(system, "usr/local/bin/ocibundle"),
      ]);
      await expect(inside("/bin/sh /install.sh")).rejects.toThrow(
        /does not run here: .*libstdc\+\+[^]*apk add libstdc\+\+ libgcc/,
      );
      expect(existsSync(join(system, "usr/local/bin/ocibundle"))).toBe(false);
    },
  );
});
