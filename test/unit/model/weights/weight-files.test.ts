import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import {
  chmodSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import {
  fileSources,
  findWeightFiles,
  pathSources,
  projectSources,
} from "../../../../src/model/weights/weight-files.ts";
import type { PathPatterns } from "../../../../src/model/weights/path-filter.ts";

const { signal } = new AbortController();
let directory: string;

beforeEach(() => {
  directory = realpathSync(mkdtempSync(join(tmpdir(), "ocibundle-files-")));
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

function put(...paths: string[]): void {
  for (const path of paths) {
    mkdirSync(dirname(join(directory, path)), { recursive: true });
    writeFileSync(join(directory, path), path);
  }
}

const find = async (paths: string[], dest?: string, except: string[] = []) =>
  findWeightFiles(pathSources(paths, directory, dest), { signal, except });

const summary = async (...args: Parameters<typeof find>) =>
  (await find(...args)).map(({ name, dest }) => [name, dest]);

describe("a directory", () => {
  test("gives its files below it, sorted by name", async () => {
    put("w/b.bin", "w/a/z.bin", "w/a.bin");
    expect(await summary(["w"], "/src/weights/")).toEqual([
      ["a", "/src/weights/a.bin"],
      ["a/z", "/src/weights/a/z.bin"],
      ["b", "/src/weights/b.bin"],
    ]);
    expect((await find(["w"])).map(({ path }) => path)).toEqual([
      join(directory, "w/a.bin"),
      join(directory, "w/a/z.bin"),
      join(directory, "w/b.bin"),
    ]);
  });

  test("goes to the default dest when none is given, and says so", async () => {
    put("w/a.bin");
    const [file] = await find(["w"]);
    expect(file).toMatchObject({ dest: "/src/weights/a.bin", destIsDefault: true });
    const [placed] = await find(["w"], "/");
    expect(placed).toMatchObject({ dest: "/a.bin", destIsDefault: false });
  });

  test("leaves hidden files and the lock itself out", async () => {
    put("w/a.bin", "w/.DS_Store", "w/.git/config", "w/weights.lock");
    const hidden: string[] = [];
    const files = await findWeightFiles(pathSources(["w"], directory), {
      signal,
      except: [join(directory, "w/weights.lock")],
      onLeftOut: (path) => hidden.push(path),
    });
    expect(files.map(({ name }) => name)).toEqual(["a"]);
    expect(hidden).toEqual([join(directory, "w/.DS_Store"), join(directory, "w/.git/")]);
  });

  test("takes names as they are", async () => {
    put("w/my model.bin", "w/größe.bin", "w/two\nlines.bin", "w/-n.bin");
    expect((await find(["w"])).map(({ name }) => name)).toEqual(
      ["-n", "größe", "my model", "two\nlines"].toSorted((a, b) =>
        Buffer.compare(Buffer.from(a), Buffer.from(b)),
      ),
    );
  });

  test("keeps a dest with .. as it is, for the lock to refuse", async () => {
    put("w/a.bin");
    expect(await summary(["w"], "/src/../x")).toEqual([["a", "/src/../x/a.bin"]]);
  });
});

describe("symbolic links", () => {
  test("to files and directories inside are followed", async () => {
    put("w/real/a.bin");
    symlinkSync("real/a.bin", join(directory, "w/link.bin"));
    symlinkSync("real", join(directory, "w/again"));
    expect((await find(["w"])).map(({ name }) => name)).toEqual(["again/a", "link", "real/a"]);
  });

  test("the directory itself may be one, and so may a file that is named", async () => {
    put("elsewhere/a.bin");
    symlinkSync("elsewhere", join(directory, "w"));
    symlinkSync("elsewhere/a.bin", join(directory, "file.bin"));
    expect((await find(["w", "file.bin"])).map(({ name }) => name)).toEqual(["a", "file"]);
  });

  test.each([
    ["loops to a directory it lies in", "..", "forms a loop"],
    ["loops to the root", "/", "forms a loop"],
    ["loops to itself", "link", "loops"],
    ["is broken", "nothing.bin", "is broken"],
  ])("one that %s is refused by name", async (_, target, message) => {
    put("w/sub/a.bin");
    const link = join(directory, "w/sub/link");
    symlinkSync(target, link);
    await expect(find(["w"])).rejects.toMatchObject({
      code: "file",
      message: expect.stringContaining(`the symbolic link "${link}" ${message}`),
    });
  });

  test("are followed out of the directory, and keep the link's own name", async () => {
    put("blobs/d0", "store/sub/b.bin");
    put("snapshots/abc/config.json");
    symlinkSync("../../blobs/d0", join(directory, "snapshots/abc/model.safetensors"));
    symlinkSync(join(directory, "store"), join(directory, "snapshots/abc/store"));
    expect(await summary(["snapshots/abc"], "/w")).toEqual([
      ["config", "/w/config.json"],
      ["model", "/w/model.safetensors"],
      ["store/sub/b", "/w/store/sub/b.bin"],
    ]);
  });

  test("that are excluded may point to nothing", async () => {
    put("w/a.bin");
    symlinkSync("nothing", join(directory, "w/gone.lock"));
    const sources = pathSources(["w"], directory, "/w", { exclude: ["*.lock"] });
    expect((await findWeightFiles(sources, { signal })).map(({ name }) => name)).toEqual(["a"]);
  });

  test("two directories that point to each other are refused", async () => {
    put("w/a/1.bin", "w/b/2.bin");
    symlinkSync("../b", join(directory, "w/a/to-b"));
    symlinkSync("../a", join(directory, "w/b/to-a"));
    await expect(find(["w"])).rejects.toThrow("forms a loop");
  });
});

describe("refuses by name", () => {
  test("what does not exist", async () => {
    await expect(find(["nothing"])).rejects.toMatchObject({
      code: "file",
      message: `"${join(directory, "nothing")}" does not exist`,
    });
  });

  test("a socket", async () => {
    put("w/a.bin");
    const socket = join(directory, "w/engine.sock");
    const server = createServer().listen(socket);
    await new Promise((resolve) => server.once("listening", resolve));
    try {
      await expect(find(["w"])).rejects.toThrow(`"${socket}" is a socket`);
      await expect(find(["w/engine.sock"])).rejects.toThrow(`"${socket}" is a socket`);
    } finally {
      server.close();
    }
  });

  test("a device and a named pipe", async () => {
    await expect(find(["/dev/null"])).rejects.toThrow('"/dev/null" is a device');
    const pipe = join(directory, "pipe");
    Bun.spawnSync(["mkfifo", pipe]);
    await expect(find(["pipe"])).rejects.toThrow(`"${pipe}" is a named pipe`);
  });

  test.each(["touch", "ln -s a.bin"])("a name that is no UTF-8, made by %s", async (make) => {
    put("w/a.bin");
    Bun.spawnSync(["sh", "-c", `${make} "$(printf '${directory}/w/\\377.bin')"`]);
    await expect(find(["w"])).rejects.toThrow("has a name that is not UTF-8");
  });

  test.skipIf(process.getuid?.() === 0)("a directory that cannot be read", async () => {
    put("w/sub/a.bin");
    chmodSync(join(directory, "w/sub"), 0);
    await expect(find(["w"])).rejects.toThrow("permission denied");
    chmodSync(join(directory, "w/sub"), 0o700);
  });

  test("two files that would have one name", async () => {
    put("v/model.bin", "w/model.bin");
    await expect(find(["v", "w"])).rejects.toThrow(
      `two weight files would have the name "model.bin": "${join(directory, "v/model.bin")}" and "${join(directory, "w/model.bin")}"`,
    );
  });
});

test("one file that is named twice is one", async () => {
  put("w/a.bin");
  expect(await summary(["w", "w/a.bin", "w"], "/d")).toEqual([["a", "/d/a.bin"]]);
});

test("a hidden file that is named is taken", async () => {
  put(".weights");
  expect(await summary([".weights"])).toEqual([[".weights", "/src/weights/.weights"]]);
});

describe("--file", () => {
  test("names the file, whatever the path is", async () => {
    put("w/a=b.bin");
    const files = await findWeightFiles(fileSources(["llama 3=w/a=b.bin"], directory), { signal });
    expect(files).toEqual([
      {
        name: "llama 3",
        path: join(directory, "w/a=b.bin"),
        dest: "/src/weights/a=b.bin",
        destIsDefault: true,
      },
    ]);
  });

  test.each(["", "name", "=path", "name="])("%p is refused", (flag) => {
    expect(() => fileSources([flag], directory)).toThrow(
      `--file ${JSON.stringify(flag)}: not a NAME=PATH`,
    );
  });
});

const all: { include: string[]; exclude: string[] } = { include: [], exclude: [] };
const from = (path: string, patterns: Partial<typeof all> = {}) => ({ path, ...all, ...patterns });

const taken = async (patterns: PathPatterns): Promise<string[]> => {
  const sources = pathSources(["w"], directory, "/", patterns);
  return (await findWeightFiles(sources, { signal })).map(({ dest }) => dest);
};

const project = (patterns: Partial<typeof all>) =>
  projectSources(
    { weights: [{ sources: [from("w", patterns)], target: "/m", ...all }] },
    join(directory, "cog.yaml"),
  );

describe("patterns", () => {
  beforeEach(() => {
    put("w/a.safetensors", "w/secret.pem", "w/original/b.pth", "w/sub/secret.pem", "w/sub/c.json");
  });

  test.each([
    [{ include: ["*.safetensors"] }, ["/a.safetensors"]],
    [{ include: ["sub/"] }, ["/sub/c.json", "/sub/secret.pem"]],
    [{ include: ["*.json", "*.pth"] }, ["/original/b.pth", "/sub/c.json"]],
    [{ exclude: ["original/", "*.pem"] }, ["/a.safetensors", "/sub/c.json"]],
    [
      { exclude: ["/secret.pem", "original"] },
      ["/a.safetensors", "/sub/c.json", "/sub/secret.pem"],
    ],
    [{ exclude: ["**/secret.*", "original/*"] }, ["/a.safetensors", "/sub/c.json"]],
    [{ include: ["*.pem"], exclude: ["sub"] }, ["/secret.pem"]],
    [{ exclude: ["*", "!*.safetensors"] }, ["/a.safetensors"]],
    [{ exclude: ["*.PEM", "original", "sub"] }, ["/a.safetensors", "/secret.pem"]],
  ])("%j", async (patterns, dests) => {
    expect(await taken(patterns)).toEqual(dests);
  });

  test("name hidden files only by a name that starts with a dot", async () => {
    put("w/.vocab", "w/.git/config");
    expect(await taken({ include: ["*"] })).not.toContain("/.vocab");
    expect(await taken({ include: [".vocab"] })).toEqual(["/.vocab"]);
  });

  test("of the directory's own ignore file hold beside those that are given", async () => {
    writeFileSync(join(directory, "w/.ocibundleignore"), "# comment\n\n*.pem\r\noriginal/\n");
    expect(await taken({})).toEqual(["/a.safetensors", "/sub/c.json"]);
    expect(await taken({ include: ["*.pem", "*.json"] })).toEqual(["/sub/c.json"]);
  });

  test("that are empty are refused", async () => {
    expect(() => pathSources(["w"], directory, "/", { exclude: [" "] })).toThrow("is empty");
  });

  test("of a project file hold for its source, and must leave something", async () => {
    const files = await findWeightFiles(project({ exclude: ["*.pem", "original"] }), { signal });
    expect(files.map(({ dest }) => dest)).toEqual(["/m/a.safetensors", "/m/sub/c.json"]);
    await expect(
      findWeightFiles(project({ include: ["*.gguf"] }), { signal }),
    ).rejects.toMatchObject({ code: "file", message: expect.stringContaining("no file in") });
  });

  test("hold for each of several sources, of which the last one wins", async () => {
    put("x/a.safetensors", "x/d.json");
    const sources = [from("w", { include: ["*.safetensors"] }), from("x"), from("w/sub/c.json")];
    const several = { weights: [{ sources, target: "/m", ...all }] };
    const files = await findWeightFiles(projectSources(several, join(directory, "cog.yaml")), {
      signal,
    });
    expect(files.map(({ path, dest }) => [path, dest])).toEqual([
      [join(directory, "x/a.safetensors"), "/m/a.safetensors"],
      [join(directory, "w/sub/c.json"), "/m/c.json"],
      [join(directory, "x/d.json"), "/m/d.json"],
    ]);
  });
});

test("a scheme that is the name of something else is one that is not known", () => {
  for (const text of ["constructor://a/b", "tostring://a", "valueof://a"]) {
    expect(() => pathSources([text], directory)).toThrow(
      expect.objectContaining({ hint: "download it first, then use the file or directory" }),
    );
    expect(() => fileSources([`a=${text}`], directory)).toThrow(
      expect.objectContaining({ hint: "download it first, then use the file" }),
    );
  }
});

test.each(["gs://bucket/prefix", "ftp://example.com/model.bin"])(
  "%s is no path on this machine",
  (text) => {
    expect(() => pathSources([text], directory)).toThrow("is not a source");
    expect(() => fileSources([`a=${text}`], directory)).toThrow("is not a local path");
  },
);

test("a project file's sources lie beside it, a directory's files under its target", async () => {
  put("project/weights/model.bin", "project/tokenizer/a.json", "project/tokenizer/b.json");
  const sources = projectSources(
    {
      weights: [
        { name: "llama", sources: [from("./weights/model.bin")], target: "/src/model.bin", ...all },
        { name: "tok", sources: [from("tokenizer")], target: "/src/tokenizer", ...all },
      ],
    },
    join(directory, "project/cog.yaml"),
  );
  const files = await findWeightFiles(sources, { signal });
  expect(files.map(({ name, dest }) => [name, dest])).toEqual([
    ["llama", "/src/model.bin"],
    ["tok/a", "/src/tokenizer/a.json"],
    ["tok/b", "/src/tokenizer/b.json"],
  ]);
});

test("an abort ends the walk", async () => {
  put("w/a.bin");
  const sources = pathSources(["w"], directory);
  const aborted = AbortSignal.abort(new Error("enough"));
  await expect(findWeightFiles(sources, { signal: aborted })).rejects.toThrow("enough");
});
