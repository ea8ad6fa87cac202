import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, dirname, join } from "node:path";
import { tempDirectory } from "../../../../src/image/conversion/temp-directory.ts";
import { failureText } from "../../../support/failure.ts";

let parent: string;
beforeEach(async () => {
  parent = join(await mkdtemp(join(tmpdir(), "ocibundle-temp-")), "cache", "tmp");
});
afterEach(() => rm(join(parent, "..", ".."), { recursive: true, force: true }));

describe("a temporary directory", () => {
  test("is not made before it is needed, and gone afterwards", async () => {
    const temp = tempDirectory(parent);
    await temp.remove();
    await expect(readdir(parent)).rejects.toThrow();
    const [one, two] = [await temp.newFile(), await temp.newFile()];
    expect(one).not.toBe(two);
    await writeFile(one, "x");
    await temp.remove();
    expect(await readdir(parent)).toEqual([]);
  });

  test("of a process that was killed is removed by the next, one in use is not", async () => {
    const inUse = tempDirectory(parent);
    const kept = await inUse.newFile();
    await writeFile(kept, "kept");

    const script = `
      import { tempDirectory } from ${JSON.stringify(join(import.meta.dir, "../../../../src/image/conversion/temp-directory.ts"))};
      const path = await tempDirectory(${JSON.stringify(parent)}).newFile();
      await Bun.write(path, "left behind");
      process.kill(process.pid, "SIGKILL");`;
    const child = Bun.spawn([process.execPath, "-e", script]);
    await child.exited;
    expect(child.signalCode).toBe("SIGKILL");
    const names = async () =>
      (await readdir(parent)).filter((name) => /^image-[0-9a-f-]+$/.test(name));
    expect(await names()).toHaveLength(2);

    const other = join(parent, "someone-else");
    await mkdir(other);
    const next = tempDirectory(parent);
    const path = await next.newFile();
    expect((await names()).toSorted()).toEqual(
      [basename(dirname(kept)), basename(dirname(path))].toSorted(),
    );
    expect(await readdir(parent)).toContain("someone-else");
    await next.remove();
    await inUse.remove();
  });

  test("that can't be made says where", async () => {
    await mkdir(join(parent, ".."), { recursive: true });
    await writeFile(parent, "a file");
    expect(await failureText(tempDirectory(parent).newFile())).toBe(
      `conflict: "${parent}": cannot write: a file with that name exists`,
    );
  });

  test("that can't be made is made elsewhere, with a warning, or says why not", async () => {
    await mkdir(join(parent, ".."), { recursive: true });
    await writeFile(parent, "a file");
    const other = join(parent, "..", "..", "other");
    const why = `"${parent}": cannot write: a file with that name exists`;
    const warnings: string[] = [];
    const warn = (message: string): void => void warnings.push(message);
    const temp = tempDirectory(parent, { parent: other, warn });
    const paths = [await temp.newFile(), await temp.newFile()];
    expect(paths.map((path) => dirname(dirname(path)))).toEqual([other, other]);
    expect(warnings).toEqual([`temporary files are written to "${other}": ${why}`]);
    await temp.remove();
    expect(await readdir(other)).toEqual([]);
    const nowhere = tempDirectory(parent, { parent: join(parent, "x"), warn });
    expect(await failureText(nowhere.newFile())).toBe(`conflict: ${why}`);
    expect(warnings).toHaveLength(1);
  });
});
