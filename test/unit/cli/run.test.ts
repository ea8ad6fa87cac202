import { describe, expect, test } from "bun:test";
import { defineCommand, defineCommandGroup } from "../../../src/cli/command.ts";
import type { Command } from "../../../src/cli/command.ts";
import type { CommandContext, SharedFlags } from "../../../src/cli/context.ts";
import { OcibundleError, exitCodes } from "../../../src/errors.ts";
import { runWith, tableOf } from "../../support/cli/run-with.ts";

const meta = (name: string) => ({ name, description: "Do it", example: `ocibundle ${name} x` });

const doing = (run: (context: CommandContext) => Promise<void> | void): Command =>
  defineCommand({
    meta: meta("do"),
    args: {},
    run: async (_, context) => {
      await run(context);
      return undefined;
    },
    text: () => "",
  });

/** What a command saw of the flags. */
async function flagsSeen(words: string[], env: Record<string, string> = {}): Promise<SharedFlags> {
  let seen: SharedFlags | undefined;
  const table = tableOf(
    doing(({ flags }) => {
      seen = flags;
    }),
  );
  const { code, stderr } = await runWith(table, words, { env });
  if (seen === undefined) throw new Error(`exit code ${code}: ${stderr}`);
  return seen;
}

const greet = defineCommand({
  meta: meta("greet"),
  args: { name: { type: "positional", description: "" } },
  run: async ({ name }, { stdout }) => {
    if (name === "early") stdout("served\n");
    return name === "early" ? undefined : { greeted: name };
  },
  text: ({ greeted }, { verbose }) => (verbose ? new TextEncoder().encode(greeted) : greeted),
  digest: ({ greeted }) => greeted.toUpperCase(),
  failure: ({ greeted }, { name }) =>
    greeted === "nobody" ? new OcibundleError("not_found", `${name} is away`) : undefined,
});

/** What `greet` prints to standard output. */
const printed = async (...words: string[]): Promise<string> =>
  (await runWith(tableOf(greet), words)).stdout;

describe("a run", () => {
  test("hands a command its arguments, and prints its report", async () => {
    expect(await printed("greet", "you")).toBe("you");
    expect(await printed("-v", "greet", "you")).toBe("you");
    expect(await printed("-q", "greet", "--verbose", "you")).toBe("YOU\n");
    expect(await printed("greet", "you", "-q", "--json")).toBe('{\n  "greeted": "you"\n}\n');
  });

  test("prints nothing more for a command that has printed its report itself", async () => {
    expect((await runWith(tableOf(greet), ["greet", "early"])).stdout).toBe("served\n");
  });

  test("fails after the report was printed", async () => {
    expect(await runWith(tableOf(greet), ["greet", "nobody", "--json"])).toEqual({
      code: exitCodes.not_found,
      stdout: '{\n  "greeted": "nobody"\n}\n',
      stderr: "error: nobody is away\n",
    });
  });

  test("loads no command but the one it runs", async () => {
    const table = {
      ...tableOf(doing(() => {})),
      other: () => Promise.reject(new Error("it was loaded")),
    };
    expect((await runWith(table, ["do"])).code).toBe(0);
  });

  test("finds commands below a command", async () => {
    const cache = defineCommandGroup({
      meta: meta("cache"),
      commands: { do: async () => doing(({ stdout }) => stdout("done")) },
    });
    const table = tableOf(cache);
    expect((await runWith(table, ["-q", "cache", "-v", "do"])).stdout).toBe("done");
    expect(await runWith(table, ["cache"])).toEqual({
      code: 2,
      stdout: "",
      stderr: "error: `ocibundle cache` needs a command\nhint: one of do\n",
    });
    expect((await runWith(table, ["cache", "od"])).stderr).toContain(
      "did you mean `ocibundle cache do`?",
    );
    const help = await runWith(table, ["cache", "--help"]);
    expect(help.stdout).toContain("USAGE ocibundle cache COMMAND");
    expect((await runWith(table, ["cache", "do", "-h"])).stdout).toContain(
      "USAGE ocibundle cache do",
    );
  });
});

describe("shared flags", () => {
  test("come from the command line, then the environment, then their defaults", async () => {
    expect(await flagsSeen(["do"])).toEqual({
      quiet: false,
      verbose: false,
      json: false,
      progress: "auto",
      concurrency: undefined,
      plainHttp: false,
      insecure: false,
      caFile: undefined,
      certFile: undefined,
      keyFile: undefined,
      config: undefined,
    });
    const env = {
      OCIBUNDLE_QUIET: "1",
      OCIBUNDLE_PROGRESS: "json",
      OCIBUNDLE_CONCURRENCY: "4",
      OCIBUNDLE_PLAIN_HTTP: "true",
      OCIBUNDLE_CA_FILE: "ca.pem",
      OCIBUNDLE_CONFIG: "",
    };
    const words = ["--no-quiet", "do", "--concurrency", "9"];
    expect(await flagsSeen(words, env)).toMatchObject({
      quiet: false,
      progress: "json",
      concurrency: 9,
      plainHttp: true,
      caFile: "ca.pem",
      config: undefined,
    });
  });

  test("a variable of the wrong kind is named", async () => {
    const { code, stderr } = await runWith(tableOf(doing(() => {})), ["do"], {
      env: { OCIBUNDLE_JSON: "often" },
    });
    expect(code).toBe(2);
    expect(stderr).toStartWith('error: OCIBUNDLE_JSON: "often" is not true or false\n');
  });
});

const failing = (error: unknown) =>
  tableOf(
    doing(() => {
      throw error;
    }),
  );

describe("a failure", () => {
  test.each(Object.entries(exitCodes).filter(([code]) => code !== "bug"))(
    "of kind %s ends with its exit code",
    async (code, exitCode) => {
      const error = new OcibundleError(code as keyof typeof exitCodes, "push a: no", {
        hint: "try b",
      });
      expect(await runWith(failing(error), ["do"])).toEqual({
        code: exitCode,
        stdout: "",
        stderr: "error: push a: no\nhint: try b\n",
      });
    },
  );

  test("that nobody foresaw is a bug, without a stack trace", async () => {
    const { code, stderr } = await runWith(failing(new TypeError("x is not a function")), ["do"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /^error: unexpected TypeError: x is not a function\nhint: this is a bug in ocibundle; .*\n$/,
    );
  });

  test("with -v shows its causes and where it came from", async () => {
    const cause = new Error("socket\nclosed", { cause: new RangeError("at the root") });
    const { stderr } = await runWith(failing(new OcibundleError("network", "no", { cause })), [
      "do",
      "-v",
    ]);
    expect(stderr).toMatch(/^error: no\nhint: .*\n {4}at /);
    expect(stderr).toContain("\ncause: Error: socket\\nclosed\n    at ");
    expect(stderr).toContain("\ncause: RangeError: at the root\n    at ");
  });

  test("of an interruption is no more with -v than without", async () => {
    const error = new OcibundleError("interrupted", "interrupted", { hint: "go on later" });
    const { code, stderr } = await runWith(failing(error), ["do", "-v"]);
    expect({ code, stderr }).toEqual({
      code: 130,
      stderr: "error: interrupted\nhint: go on later\n",
    });
  });

  test("shows no secret, however much is asked for", async () => {
    const cause = new Error(
      "GET https://u:hunter2@host/x?sig=hunter2 with Authorization: Bearer hunter2",
    );
    const error = new OcibundleError("network", "no https://hunter2@host", {
      cause,
      hint: "?token=hunter2",
    });
    const { stderr } = await runWith(failing(error), ["do", "-v"]);
    expect(stderr).not.toContain("hunter2");
    const said = await runWith(
      tableOf(
        doing(({ emit, stderr: print }) => {
          emit({ type: "warning", message: "https://hunter2@host" });
          emit({ type: "detail", message: "https://hunter2@host" });
          print("https://hunter2@host\n");
        }),
      ),
      ["do", "-v"],
    );
    expect(said.stderr).toBe("warning: https://***@host\nhttps://***@host\nhttps://***@host\n");
  });

  test("shows names from outside on one line, with nothing a terminal obeys", async () => {
    const error = new OcibundleError("file", 'weight "a\n\u001B[31mb"');
    expect((await runWith(failing(error), ["do"])).stderr).toBe('error: weight "a\\n\\x1b[31mb"\n');
  });

  test.each([
    ["ENOENT", 2],
    ["ENOTDIR", 2],
    ["ENOSPC", 7],
    ["EEXIST", 8],
    ["EACCES", 7],
    ["ECONNREFUSED", 6],
  ])("of the system (%s) is no bug", async (name, exitCode) => {
    const error = Object.assign(new Error(`${name}: it says no`), { code: name });
    const { code, stdout, stderr } = await runWith(failing(error), ["do"]);
    expect({ code, stdout }).toEqual({ code: exitCode, stdout: "" });
    expect(stderr).toMatch(new RegExp(`^error: ${name}: it says no\\n(hint: .*\\n)?$`));
  });

  test("is one JSON document on standard output where --json asks for it", async () => {
    const error = new OcibundleError("not_found", "no such tag", { hint: "list them" });
    const document = { code: "not_found", exitCode: 3, message: "no such tag", hint: "list them" };
    for (const words of [
      ["do", "--json"],
      ["--json", "do"],
    ]) {
      const { code, stdout, stderr } = await runWith(failing(error), words);
      expect({ code, stderr }).toEqual({
        code: 3,
        stderr: "error: no such tag\nhint: list them\n",
      });
      expect(JSON.parse(stdout)).toEqual({ error: document });
    }
  });

  test.each([
    ["a command that does not exist", ["dd", "--json"], {}],
    ["a flag that does not exist", ["do", "--json", "--no-such"], {}],
    ["no command", ["--json"], {}],
    ["the environment", ["dd"], { OCIBUNDLE_JSON: "1" }],
  ])("is JSON on standard output: %s", async (_, words, env) => {
    const { code, stdout } = await runWith(tableOf(doing(() => {})), words, { env });
    expect(code).toBe(2);
    expect(JSON.parse(stdout)).toMatchObject({ error: { code: "usage", exitCode: 2 } });
  });

  test.each([
    ["no flag", ["dd"], {}],
    ["a word behind --", ["dd", "--", "--json"], {}],
    ["a flag that takes the environment back", ["dd", "--no-json"], { OCIBUNDLE_JSON: "1" }],
  ])("is no JSON with %s", async (_, words, env) => {
    expect((await runWith(tableOf(doing(() => {})), words, { env })).stdout).toBe("");
  });

  test("leaves a document that the command printed alone", async () => {
    const table = tableOf(
      doing(({ stdout }) => {
        stdout('{"problems":1}\n');
        throw new OcibundleError("integrity", "one differs", { hint: "pull it again" });
      }),
    );
    expect(await runWith(table, ["do", "--json"])).toEqual({
      code: 5,
      stdout: '{"problems":1}\n',
      stderr: "error: one differs\nhint: pull it again\n",
    });
  });

  test("is the signal's where one came before the run began", async () => {
    const signal = AbortSignal.abort(new OcibundleError("terminated", "terminated"));
    let ran = false;
    const table = tableOf(
      doing(() => {
        ran = true;
      }),
    );
    for (const words of [["do"], ["--help"]]) {
      expect((await runWith(table, words, { signal })).code).toBe(143);
    }
    expect(ran).toBe(false);
  });

  test("of several is the first that has a name", async () => {
    const inner = new OcibundleError("denied", "no right");
    expect((await runWith(failing(new AggregateError([new Error("x"), inner])), ["do"])).code).toBe(
      4,
    );
  });

  test.each([undefined, null, "text", 7])("that is %j is a bug", async (thrown) => {
    expect((await runWith(failing(thrown), ["do"])).code).toBe(1);
  });

  test("is a line of JSON where progress is", async () => {
    const error = new OcibundleError("not_found", "no such tag", { hint: "look" });
    const { code, stderr } = await runWith(failing(error), ["do", "--progress", "json"]);
    expect(code).toBe(3);
    expect(JSON.parse(stderr)).toEqual({
      type: "error",
      code: "not_found",
      exitCode: 3,
      message: "no such tag",
      hint: "look",
    });
  });
});

describe("an interrupt", () => {
  const reason = new OcibundleError("interrupted", "interrupted", { hint: "again" });

  test("ends a command that listens with what it was aborted by", async () => {
    const abort = new AbortController();
    const table = tableOf(
      doing(async ({ signal }) => {
        setTimeout(() => {
          abort.abort(reason);
        });
        await new Promise((_, reject) => {
          signal.addEventListener("abort", () => {
            reject(new Error("cut off"));
          });
        });
      }),
    );
    expect(await runWith(table, ["do"], { signal: abort.signal })).toEqual({
      code: 130,
      stdout: "",
      stderr: "error: interrupted\nhint: again\n",
    });
  });

  test("does not wait a second for one that does not", async () => {
    const abort = new AbortController();
    const table = tableOf(
      doing(() => {
        abort.abort(reason);
        return new Promise(() => {});
      }),
    );
    const began = performance.now();
    expect((await runWith(table, ["do"], { signal: abort.signal })).code).toBe(130);
    expect(performance.now() - began).toBeLessThan(1000);
  });

  test("a command that comes to its end all the same succeeded", async () => {
    const abort = new AbortController();
    const table = tableOf(
      doing(() => {
        abort.abort(reason);
      }),
    );
    expect((await runWith(table, ["do"], { signal: abort.signal })).code).toBe(0);
  });
});

describe("progress", () => {
  const working = tableOf(
    doing(({ emit, stdout }) => {
      emit({ type: "phase", phase: "hash", items: 1, bytes: 5 });
      emit({ type: "start", phase: "hash", item: "a", group: "weights", bytes: 5 });
      emit({ type: "done", phase: "hash", item: "a" });
      emit({ type: "warning", message: "careful" });
      stdout("result\n");
    }),
  );

  test.each<[string, string[], object, RegExp]>([
    ["lines where nobody looks", [], {}, /^hash: 1 item, 5 B\n/],
    ["bars on a terminal", [], { terminal: true, env: { TERM: "xterm" } }, /█/],
    ["lines where TERM is unset", [], { terminal: true }, /^hash: 1 item, 5 B\n/],
    [
      "lines in CI",
      [],
      { terminal: true, env: { CI: "1", TERM: "xterm" } },
      /^hash: 1 item, 5 B\n/,
    ],
    [
      "lines on a terminal that can do no more",
      [],
      { terminal: true, env: { TERM: "dumb" } },
      /^hash: /,
    ],
    ["JSON where asked", ["--progress=json"], { terminal: true }, /^\{"type":"phase"/],
    [
      "warnings only, when quiet",
      ["-q"],
      { terminal: true, env: { NO_COLOR: "1" } },
      /^warning: careful\n$/,
    ],
    ["warnings only, for none", ["--progress=none"], {}, /^warning: careful\n$/],
  ])("is %s", async (_, words, surroundings, shown) => {
    const ended = await runWith(working, ["do", ...words], surroundings);
    expect(ended.stderr).toMatch(shown);
    expect(ended.stdout).toBe("result\n");
  });

  test("has colours unless NO_COLOR says otherwise", async () => {
    const yellow = "\u001B[33mwarning: ";
    expect((await runWith(working, ["do"], { terminal: true })).stderr).toContain(yellow);
    const plain = await runWith(working, ["do"], { terminal: true, env: { NO_COLOR: "1" } });
    expect(plain.stderr).toContain("warning: ");
    expect(plain.stderr).not.toContain("m█");
    expect(plain.stderr).not.toContain("\u001B[33m");
  });
});
