import { rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { openWire } from "../../test/support/attacks/counting-wire.ts";
import type { Sized } from "../../test/support/tensors/model-shapes.ts";
import { writeTensors } from "../../test/support/tensors/tensor-file.ts";
import { expectAtMost, expectThat, openWorkbench, sha256 } from "./workbench.ts";

/** What push and copy print, as far as it is looked at. */
interface Sent {
  reference: string;
}

const digestIn = (text: string): string =>
  (JSON.parse(text) as Sent).reference.split("@")[1] ?? text;

/**
 * Plain readers: what a parts artifact is converted to, and plain weights with a recipe, of which a pull fetches
 * ranges where an earlier version is there. `changed` are the tensors of the second version.
 */
export async function scenariosOfPlainReaders(
  model: readonly Sized[],
  { changed, most }: { changed: readonly Sized[]; most: number },
): Promise<void> {
  await using bench = await openWorkbench();
  const { run, host, weights } = bench;
  const file = join(weights, "model.safetensors");
  const push = async (name: string, ...flags: string[]): Promise<string> => {
    const args = ["push", `${host}/acme/${name}`, "--weights", "weights", "--json", ...flags];
    return digestIn(await run(...args));
  };
  writeTensors(file, model);
  await run("lock", "weights", "--parts");
  await push("parts:v1", "--parts");
  const plain = await push("plain:v1");
  const { size } = await stat(file);
  const args = ["copy", `${host}/acme/parts:v1`, `${host}/acme/converted:v1`, "--plain", "--json"];
  const converted = digestIn(await run(...args));
  expectThat("8 copy --plain makes what a plain push makes", converted === plain);

  const wire = await openWire(Number(host.split(":")[1]));
  try {
    const pull = async (tag: string, ...flags: string[]): Promise<number> => {
      const before = wire.bytes("down");
      await run("pull", `127.0.0.1:${wire.port}/acme/plain:${tag}`, "out", ...flags);
      const out = join(bench.directory, "out/src/weights/model.safetensors");
      expectThat(`8 plain ${tag} is right`, (await sha256(out)) === (await sha256(file)));
      await rm(join(bench.directory, "out"), { recursive: true });
      return (wire.bytes("down") - before) / size;
    };
    expectAtMost("8 plain with a recipe, cold pull, over the size", (await pull("v1")) - 1, 0.003);
    writeTensors(file, model, { changed: changed.map(([name]) => name), version: "plain" });
    await run("lock", "weights", "--parts");
    await push("plain:v2");
    expectAtMost("8 plain with a recipe, a tenth of the tensors, pull", await pull("v2"), most);
  } finally {
    wire.stop();
  }
}
