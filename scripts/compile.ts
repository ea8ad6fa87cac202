/** What `ocibundle --version` says of a build; see src/cli/version.ts. */
export interface BuildStamp {
  version: string;
  /** Of the sources; undefined outside a git checkout. */
  commit: string | undefined;
}

export interface CompileOptions {
  /** The program first, then the workers it starts. */
  entrypoints: readonly string[];
  /** The directory that the entrypoints' places inside the binary are relative to. */
  root: string;
  outfile: string;
  /** `linux-x64`, `darwin-arm64`, …; this machine's when not given. */
  target?: string | undefined;
  stamp: BuildStamp;
}

/** Compiles a program and Bun into one file. */
export async function compile(options: CompileOptions): Promise<void> {
  const { entrypoints, root, outfile, target, stamp } = options;
  await Bun.build({
    entrypoints: [...entrypoints],
    root,
    format: "esm",
    minify: true,
    bytecode: true,
    // In one chunk, what any command imports of node: would be loaded at every start.
    splitting: true,
    define: {
      OCIBUNDLE_VERSION: JSON.stringify(stamp.version),
      OCIBUNDLE_COMMIT: JSON.stringify(stamp.commit ?? "unknown"),
    },
    compile: {
      outfile,
      ...(target === undefined ? {} : { target: `bun-${target}` as Bun.Build.CompileTarget }),
      // The directory a binary runs in may be a stranger's repository: it must not be able to set the
      // environment (a proxy, a registry) or to have code loaded.
      autoloadDotenv: false,
      autoloadBunfig: false,
      autoloadTsconfig: false,
      autoloadPackageJson: false,
    },
  });
}
