import type { KnipConfig } from "knip";

// `knip` sees the tests as users; `knip --production` finds what only tests still use. An export that
// its own file uses is no dead code then: it is there to be tested.
const production = process.argv.includes("--production");

export default {
  entry: [
    "src/main.ts!",
    "src/runtime/worker.ts!",
    "scripts/*.ts",
    "scripts/release/npm-launcher.js",
    "scripts/bench/{link,plain-fetch,sink}.ts",
    "test/**/*.test.ts",
    "test/{faults,large}/*.ts",
    "test/interop/{cosign,model-signing}.ts",
    "test/robustness/large.ts",
    // Started by tests in processes of their own.
    "test/**/{*-child,layout-tagger}.ts",
  ],
  project: ["src/**/*.ts!", "scripts/**", "test/**/*.ts"],
  ignoreExportsUsedInFile: production ? true : { interface: true, type: true },
  // Run by its path: the sources are tried under it.
  ignoreDependencies: ["deno"],
  ignoreBinaries: ["apt-get", "dpkg-deb", "mkfifo", "fallocate", "mount", "umount", "unshare"],
} satisfies KnipConfig;
