import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { parseSync, Visitor } from "oxc-parser";

/**
 * The house rules that a reader relies on, read from the sources: who may import whom, no circles,
 * and the few places where the process, the runtime and the network library are touched.
 */

/** Directory (or file at the top of src) to what it may import. Everyone may import errors, flow, runtime and version. */
const mayImport: Record<string, readonly string[]> = {
  main: ["cli", "program"],
  program: ["cli", "commands"],
  cli: ["ui", "report"],
  // The table loads the hidden commands too.
  commands: ["cli", "model", "ui", "report", "harness/commands"],
  model: [
    "report",
    "image",
    "transfer",
    "registry",
    "hub",
    "s3",
    "web",
    "serve",
    "store",
    "trust",
    "oci",
  ],
  image: ["registry", "store", "oci"],
  transfer: ["registry", "store", "oci", "retry"],
  registry: ["http", "oci", "retry"],
  // Files elsewhere are asked for by HTTP as blobs are: ranges and pages are read by the same code.
  remote: ["http", "oci", "retry", "registry"],
  hub: ["remote", "http", "oci", "retry", "registry"],
  web: ["remote", "http", "oci", "retry", "registry"],
  s3: ["remote", "http", "oci", "retry", "registry"],
  // A hub's answers to clients, whatever they are made of: `model/serve` gives it models and bytes.
  serve: ["oci"],
  http: ["retry"],
  retry: [],
  store: ["oci"],
  credentials: [],
  ui: ["report", "oci"],
  // Types only: the shapes that --json prints.
  report: ["oci", "store", "registry", "credentials"],
  // Keys, payloads and bundles: bytes in, a verdict out.
  trust: ["oci"],
  oci: [],
  runtime: [],
  errors: [],
  // Loops and streams that know nothing of what runs or passes in them.
  flow: [],
  version: [],
  harness: ["model", "report", "transfer", "registry", "store", "oci"],
  "harness/commands": ["cli", "model", "ui", "harness", "harness/registry", "harness/misbehave"],
  // The embedded registry: client and server meet on the wire only.
  "harness/registry": ["store", "oci", "harness/misbehave"],
  "harness/misbehave": ["store", "oci", "harness/registry"],
};
const everyoneMayImport = new Set(["errors", "flow", "runtime", "version"]);

/** Single edges beside the table, each with its reason. */
const alsoAllowed: readonly { from: RegExp; to: string; typesOnly: boolean }[] = [
  // The one place that puts a registry together with the credentials it asks for.
  { from: /^model\/session\/connect\.ts$/, to: "credentials/find.ts", typesOnly: false },
  // A login is kept where the registries' passwords are looked up.
  { from: /^model\/jobs\/login\.ts$/, to: "credentials/keep.ts", typesOnly: false },
  { from: /^model\/jobs\/login\.ts$/, to: "credentials/kept.ts", typesOnly: false },
  // The policy looks at what kind of failure an attempt met.
  { from: /^retry\/transient\.ts$/, to: "http/message/failure.ts", typesOnly: true },
  // Progress is events: whoever emits or draws them names their types and nothing else of the engine.
  {
    from: /^(?:cli|commands|ui|image|registry|http|retry)\//,
    to: "transfer/events.ts",
    typesOnly: true,
  },
];

interface Import {
  /** As written. */
  specifier: string;
  typesOnly: boolean;
}

interface Module {
  /** Relative to src. */
  path: string;
  imports: Import[];
  /** Names of things that only some places may touch: `Bun`, `Deno`, `process.exit`. */
  touches: string[];
  /** Calls that write to a file by its path, or open one to be written. */
  writes: string[];
}

/** Functions of node:fs that write to whatever a path leads to. */
const writers =
  /^(?:(?:append|write)File|copyFile|cp|createWriteStream|truncate|outputFile)(?:Sync)?$/;

/** Whether the flags that a file is opened with are surely for reading. */
const isReading = (flags: string): boolean =>
  flags === "" || flags === '"r"' || /^(?:constants\.)?O_RDONLY\b/.test(flags);

const processMembers = new Set(["exit", "exitCode", "abort", "reallyExit", "cwd", "env", "chdir"]);

function readModule(path: string, source: string): Module {
  const { program, module, errors } = parseSync(path, source);
  if (errors[0] !== undefined) throw new Error(`${path}: ${errors[0].message}`);
  const imports: Import[] = [];
  const add = (specifier: string, entries: { isType: boolean }[]) =>
    imports.push({
      specifier,
      typesOnly: entries.length > 0 && entries.every(({ isType }) => isType),
    });
  for (const { moduleRequest, entries } of module.staticImports) add(moduleRequest.value, entries);
  for (const { entries } of module.staticExports) {
    for (const entry of entries) {
      if (entry.moduleRequest !== null) add(entry.moduleRequest.value, [entry]);
    }
  }
  const touches: string[] = [];
  const writes: string[] = [];
  const fromFs = new Map(
    module.staticImports
      .filter(({ moduleRequest }) => /^(?:node:)?fs(?:\/promises)?$/.test(moduleRequest.value))
      .flatMap(({ entries }) =>
        entries.map((entry) => [entry.localName.value, entry.importName.name ?? "*"] as const),
      ),
  );
  new Visitor({
    CallExpression({ callee, arguments: given }) {
      const called =
        callee.type === "Identifier"
          ? fromFs.get(callee.name)
          : callee.type === "MemberExpression" &&
              callee.object.type === "Identifier" &&
              fromFs.get(callee.object.name) === "*" &&
              callee.property.type === "Identifier"
            ? callee.property.name
            : undefined;
      if (called === undefined) return;
      const flags = given[1] === undefined ? "" : source.slice(given[1].start, given[1].end);
      const opens = called === "open" || called === "openSync";
      if (writers.test(called) || (opens && !isReading(flags))) writes.push(called);
    },
    Identifier({ name }) {
      if (name === "Bun" || name === "Deno") touches.push(name);
    },
    MemberExpression({ object, property }) {
      if (object.type !== "Identifier" || property.type !== "Identifier") return;
      if (object.name === "process" && processMembers.has(property.name)) {
        touches.push(`process.${property.name}`);
      }
    },
    ImportExpression({ source: request }) {
      if (request.type !== "Literal" || typeof request.value !== "string") {
        throw new Error(`${path}: an import() of something other than a literal`);
      }
      imports.push({ specifier: request.value, typesOnly: false });
    },
    TSImportType({ source: request }) {
      imports.push({ specifier: request.value, typesOnly: true });
    },
  }).visit(program);
  return { path, imports, touches, writes };
}

/** The imports that stay within src, as paths relative to it. */
function inner({ path, imports }: Module): { to: string; typesOnly: boolean }[] {
  return imports
    .filter(({ specifier }) => specifier.startsWith("."))
    .map(({ specifier, typesOnly }) => ({
      to: posix.join(posix.dirname(path), specifier),
      typesOnly,
    }));
}

/** The nearest directory in the table: `harness/registry/storage/x.ts` belongs to `harness/registry`. */
function part(path: string): string {
  const directory = posix.dirname(path);
  if (directory === ".") return path.replace(/\.ts$/, "");
  const names = directory.split("/");
  while (names.length > 1 && !(names.join("/") in mayImport)) names.pop();
  return names.join("/");
}

function forbiddenImports(modules: readonly Module[]): string[] {
  return modules.flatMap((module) => {
    const from = part(module.path);
    const allowed = mayImport[from];
    if (allowed === undefined) return [`${module.path}: no part of the house (see mayImport)`];
    return inner(module)
      .filter(({ to, typesOnly }) => {
        const target = part(to);
        if (target === from || everyoneMayImport.has(target) || allowed.includes(target))
          return false;
        return !alsoAllowed.some(
          (edge) => edge.from.test(module.path) && edge.to === to && (typesOnly || !edge.typesOnly),
        );
      })
      .map(({ to }) => `${module.path} imports ${to}`);
  });
}

/** Every circle that a depth-first walk closes, types and lazy imports counted too. */
function circles(edges: ReadonlyMap<string, Iterable<string>>): string[] {
  const found: string[] = [];
  const finished = new Set<string>();
  const visit = (node: string, trail: readonly string[]): void => {
    const at = trail.indexOf(node);
    if (at >= 0) found.push([...trail.slice(at), node].join(" -> "));
    if (at >= 0 || finished.has(node)) return;
    for (const next of edges.get(node) ?? []) visit(next, [...trail, node]);
    finished.add(node);
  };
  for (const node of edges.keys()) visit(node, []);
  return found;
}

const fileEdges = (modules: readonly Module[]) =>
  new Map(modules.map((module) => [module.path, inner(module).map(({ to }) => to)]));

/** Which directories import from which. A directory's own files and those below it are two nodes. */
function directoryEdges(modules: readonly Module[]): Map<string, Set<string>> {
  const edges = new Map<string, Set<string>>();
  for (const module of modules) {
    const from = posix.dirname(module.path);
    if (from === ".") continue;
    const targets = edges.get(from) ?? new Set();
    edges.set(from, targets);
    for (const { to } of inner(module)) {
      if (posix.dirname(to) !== from) targets.add(posix.dirname(to));
    }
  }
  return edges;
}

function touching(modules: readonly Module[], what: RegExp, allowed: RegExp): string[] {
  return modules
    .filter(({ path }) => !allowed.test(path))
    .flatMap(({ path, touches, imports }) =>
      [...touches, ...imports.map(({ specifier }) => specifier)]
        .filter((name) => what.test(name))
        .map((name) => `${path} uses ${name}`),
    );
}

/** Where files are opened to be written, each with its reason. */
const mayWrite = new Map([
  ["runtime/own-file.ts", "the rules for it"],
  ["runtime/special-file.ts", "devices and FIFOs that a user names"],
  ["runtime/read-document.ts", "it opens for reading, by flags"],
  ["runtime/regular-file.ts", "the same"],
  ["ui/prompt.ts", "the terminal"],
  ["harness/registry/storage/append.ts", "a directory that is the embedded registry's alone"],
  ["harness/registry/storage/upload-sessions.ts", "the same"],
]);

const runtimeOwn = /^(?:Bun|Deno|bun|bun:.*)$/;
const readsProcess = /^process\.(?:cwd|env|chdir)$/;
const endsProcess = /^process\.(?:exit|exitCode|abort|reallyExit)$/;
const httpLibrary = /^ofetch(?:\/|$)/;

const root = join(import.meta.dir, "..", "src");
const modules = readdirSync(root, { recursive: true, encoding: "utf8" })
  .map((path) => path.replaceAll("\\", "/"))
  .filter((path) => path.endsWith(".ts"))
  .toSorted()
  .map((path) => readModule(path, readFileSync(join(root, path), "utf8")));

/** What the import statements of a source name, in their order. */
const importsOf = (path: string): string[] =>
  [...readFileSync(join(root, path), "utf8").matchAll(/^import .* from "(.*)";$/gm)].map(
    ([, from = ""]) => from,
  );

const linesOf = (path: string): number =>
  readFileSync(join(root, path), "utf8").split("\n").length - 1;

describe("the house", () => {
  test("a part imports only what the design lets it", () => {
    expect(forbiddenImports(modules)).toEqual([]);
  });

  test("there are no circles of files", () => {
    expect(circles(fileEdges(modules))).toEqual([]);
  });

  test("there are no circles of directories", () => {
    expect(circles(directoryEdges(modules))).toEqual([]);
  });

  test("Bun and Deno are named in the runtime's directory only", () => {
    expect(touching(modules, runtimeOwn, /^runtime\//)).toEqual([]);
  });

  test("main loads nothing before the handlers of signals stand", () => {
    expect(importsOf("main.ts")).toEqual(["./cli/stop-signals.ts", "./errors.ts"]);
    expect(importsOf("cli/stop-signals.ts")).toEqual(["node:fs", "../errors.ts"]);
  });

  test("only main ends the process", () => {
    expect(touching(modules, endsProcess, /^main\.ts$/)).toEqual([]);
  });

  test("files are opened for writing by one module, which follows no links", () => {
    const written = modules.filter(({ writes }) => writes.length > 0).map(({ path }) => path);
    expect(written).toEqual([...mayWrite.keys()].toSorted());
  });

  test("only main reads the environment and the working directory", () => {
    expect(touching(modules, readsProcess, /^main\.ts$/)).toEqual([]);
  });

  test("a report is a type and nothing that runs", () => {
    const reports = modules.filter(({ path }) => part(path) === "report").map(({ path }) => path);
    const statements = reports.flatMap((path) =>
      readFileSync(join(root, path), "utf8")
        .split("\n")
        .filter((line) => /^\w/.test(line)),
    );
    expect(
      statements.filter((line) => !/^(?:import type|export (?:type|interface)) /.test(line)),
    ).toEqual([]);
    expect(reports).not.toEqual([]);
  });

  test("only http uses ofetch", () => {
    expect(touching(modules, httpLibrary, /^http\//)).toEqual([]);
  });

  test("records keep members of every name, which those of the library do not", () => {
    const own = modules.filter(({ path }) =>
      /\bv\.(?:record|objectWithRest)\(/.test(readFileSync(join(root, path), "utf8")),
    );
    expect(own.map(({ path }) => path)).toEqual([]);
  });

  test("no file is a barrel", () => {
    expect(modules.filter(({ path }) => posix.basename(path) === "index.ts")).toEqual([]);
  });

  test("no file has more than 300 lines", () => {
    expect(modules.map(({ path }) => path).filter((path) => linesOf(path) > 300)).toEqual([]);
  });
});

/** What `scripts/nightly.sh` and `.ci/run` run by name, and the suites that contract tests share. */
const namedTests =
  /^(?:contract\/content-store|faults\/fault-matrix|interop\/(?:cosign|model-signing)|large\/(?:fleet|large)|robustness\/large)\.ts$/;

test("what tests share is in test/support", () => {
  const outside = readdirSync(import.meta.dir, { recursive: true, encoding: "utf8" })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
    .filter((path) => !path.startsWith("support/") && !namedTests.test(path));
  expect(outside).toEqual([]);
});

describe("the check itself", () => {
  const sources = {
    "oci/digest.ts": `import type { X } from "../store/a.ts";`,
    "store/a.ts": `import "../oci/digest.ts"; export { b } from "../http/client.ts";`,
    "harness/registry/routes/blobs.ts": `const r = () => import("../../../registry/registry.ts"); // import("../oci/x.ts")`,
    "registry/registry.ts": `import { run } from "../transfer/events.ts"; import { ofetch } from "ofetch";`,
    "image/load.ts": `import type { EmitEvent } from "../transfer/events.ts"; Bun.gc(true);`,
    "commands/push.ts": `import { s } from "../harness/registry/routes/blobs.ts"; process.exit(1);`,
    "harness/commands/start.ts": `import { s } from "../registry/routes/blobs.ts"; process.env["X"];`,
    "model/a.ts": `import "./pull/b.ts"; `,
    "model/pull/b.ts": `import "../c.ts";`,
    "helpers/x.ts": "export {};",
    "store/write.ts": `import { open, writeFile as put } from "node:fs/promises"; import * as fs from "node:fs";
      await open("a"); await open("a", "r"); fs.openSync("a", fs.constants.O_RDWR); await put("a", "b"); await open("a", flags);`,
  };
  const bad = Object.entries(sources).map(([path, source]) => readModule(path, source));

  test("sees what is forbidden, however it is imported", () => {
    expect(forbiddenImports(bad)).toEqual([
      "oci/digest.ts imports store/a.ts",
      "store/a.ts imports http/client.ts",
      "harness/registry/routes/blobs.ts imports registry/registry.ts",
      "registry/registry.ts imports transfer/events.ts",
      "commands/push.ts imports harness/registry/routes/blobs.ts",
      "helpers/x.ts: no part of the house (see mayImport)",
    ]);
  });

  test("sees what writes to a file", () => {
    expect(bad.flatMap(({ writes }) => writes)).toEqual(["openSync", "writeFile", "open"]);
  });

  test("sees circles of files and of directories", () => {
    expect(circles(fileEdges(bad))).toEqual(["oci/digest.ts -> store/a.ts -> oci/digest.ts"]);
    expect(circles(directoryEdges(bad))).toEqual([
      "oci -> store -> oci",
      "model -> model/pull -> model",
    ]);
  });

  test("sees globals and libraries out of their place", () => {
    expect(touching(bad, runtimeOwn, /^runtime\//)).toEqual(["image/load.ts uses Bun"]);
    expect(touching(bad, endsProcess, /^main\.ts$/)).toEqual([
      "commands/push.ts uses process.exit",
    ]);
    expect(touching(bad, readsProcess, /^main\.ts$/)).toEqual([
      "harness/commands/start.ts uses process.env",
    ]);
    expect(touching(bad, httpLibrary, /^http\//)).toEqual(["registry/registry.ts uses ofetch"]);
  });
});
