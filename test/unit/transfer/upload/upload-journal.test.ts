import { expect, test } from "bun:test";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { digestOf } from "../../../../src/oci/digest.ts";
import { MiB } from "../../../../src/transfer/units.ts";
import { uploadJournal } from "../../../../src/transfer/upload/upload-journal.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

const note = { location: "http://localhost/v2/acme/upload/1" };

async function journal(size: number) {
  const directory = join(await temporaryDirectory(), "uploads");
  const repository = { fullName: "localhost/acme/llama" } as Parameters<
    ReturnType<typeof uploadJournal>["open"]
  >[0];
  const open = () => {
    const notes = uploadJournal(directory).open(repository, { digest: digestOf("blob"), size });
    if (notes === undefined) throw new Error("nothing can be noted");
    return notes;
  };
  return { open, files: () => readdirSync(directory) };
}

for (const size of [10, 1024 * MiB]) {
  test(`of an upload of ${size} bytes that broke off stays where it was, for the next run`, async () => {
    const { open, files } = await journal(size);
    const notes = open();
    notes.keep(note);
    notes.close();
    expect((await open().earlier())?.location).toBe(note.location);
    expect(files().filter((name) => name.endsWith(".json"))).toHaveLength(1);
  });

  test(`of an upload of ${size} bytes that is done, or let go of, nothing is noted`, async () => {
    const { open, files } = await journal(size);
    const notes = open();
    notes.keep(note);
    notes.drop();
    notes.close();
    expect(files()).toEqual([]);
    // Whoever has the upload now has it for itself.
    const other = open();
    notes.keep(note);
    notes.close();
    expect(files()).toEqual([]);
    other.close();
  });
}
