import { createHash, type Hash } from "node:crypto";
import { type AppendFile, openAppendFile } from "./append-file.ts";
import type { SharedBytes, StreamEnd, StreamStep } from "./worker-protocol.ts";

interface Stream {
  hash?: Hash;
  file?: AppendFile;
}

/** The streams of this thread. They take turns, so one that is slow holds up no other for long. */
const streams = new Map<number, Stream>();

/**
 * Does one step of storing or hashing bytes that come in pieces, and returns the hash in hex where that was asked for.
 * Blocks the thread. Throws errno errors; the stream has ended then.
 */
export function streamStep(given: StreamStep): string | undefined {
  const { stream, step } = given;
  if (step !== "add") return endStream(stream, step);
  try {
    addTo(stream, given);
  } catch (error) {
    endStream(stream, "drop");
    throw error;
  }
  return given.end === undefined ? undefined : endStream(stream, given.end);
}

/** Shared memory that this thread was sent, by its number. */
const known = new Map<number, Uint8Array>();

function bytesOf({ memory, number, offset, length }: SharedBytes): Uint8Array {
  const whole = memory === undefined ? known.get(number ?? Number.NaN) : new Uint8Array(memory);
  if (whole === undefined) throw new Error("a worker was not sent the memory that it is to read");
  if (number !== undefined) known.set(number, whole);
  return whole.subarray(offset, offset + length);
}

function addTo(
  name: number,
  { bytes: shared, algorithm, place }: Extract<StreamStep, { step: "add" }>,
): void {
  const stream = streams.get(name) ?? {};
  streams.set(name, stream);
  const bytes = bytesOf(shared);
  if (place !== undefined) {
    stream.file ??= openAppendFile(place.path, place.isNew);
    stream.file.write(bytes, place.position);
  }
  if (algorithm !== undefined) (stream.hash ??= createHash(algorithm)).update(bytes);
}

function endStream(name: number, how: StreamEnd): string | undefined {
  const stream = streams.get(name) ?? {};
  const { file, hash } = stream;
  delete stream.file;
  if (how !== "close") streams.delete(name);
  file?.close();
  return how === "digest" ? hash?.digest("hex") : undefined;
}
