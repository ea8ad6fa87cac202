import type { ByteRange } from "../../oci/content.ts";
import { unwritable } from "../../runtime/file-faults.ts";
import { MiB } from "../units.ts";
import type { JournalWriter } from "./download-journal.ts";
import type { RangeSet } from "./range-set.ts";

/** Of less, nothing is noted: it is sooner fetched again than noted. In bytes. */
const journalBytes = MiB;

/** A shorter range is noted together with others: it would be a line of the journal for a few bytes. */
const leastNoted = 4096;

/** What of a growing file is noted in its journal, and when. Its functions throw as `unwritable`: mostly `system`. */
export interface JournalNotes {
  /** Notes a range that is written now, at once or together with others. */
  add(range: ByteRange): void;
  /** Notes all that is written. */
  addAll(): void;
  /** Notes what was too little to be noted yet; not of a small blob that is whole. Never throws. */
  keep(): void;
  close(): void;
}

/** The notes of a file of `size` bytes. `written` is all that is in it; `notedBytes` of that the journal has. */
export function journalNotes(
  writer: JournalWriter,
  {
    path,
    size,
    written,
    notedBytes,
  }: { path: string; size: number; written: RangeSet; notedBytes: number },
): JournalNotes {
  let noted = notedBytes;
  /** Bytes of ranges that are too short to be noted one by one. */
  let short = 0;

  const write = (note: () => void): void => {
    try {
      note();
    } catch (error) {
      throw unwritable(path, error);
    }
    noted = written.bytes;
  };
  const addAll = (): void => {
    short = 0;
    write(() => writer.write(written));
  };
  return {
    add(range) {
      if (written.bytes < journalBytes && noted === 0) return;
      const bytes = range.end - range.start;
      if (bytes >= leastNoted) return write(() => writer.add(range, written));
      short += bytes;
      if (short >= journalBytes) addAll();
    },
    addAll,
    keep() {
      const isNoted = written.bytes === noted && short === 0;
      if (isNoted || written.bytes === size) return;
      try {
        addAll();
      } catch {
        // The former journal stays. What ended the download is the news, not this.
      }
    },
    close: () => writer.close(),
  };
}
