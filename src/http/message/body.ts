import { setTimeout, clearTimeout } from "node:timers";
import { OcibundleError } from "../../errors.ts";
import { decodeDocument } from "./content-coding.ts";
import { failureError } from "./failure.ts";
import type { HttpResponse } from "./message.ts";

/** What is read of an answer that nobody wants, so that its connection can be used again. */
const maxDrainBytes = 64 * 1024;

/** How long a small body may take: a time for any, and a slowest rate for what is longer. */
export interface BodyPace {
  /** In milliseconds. */
  grace: number;
  /** In bytes a millisecond. */
  rate: number;
}

const documentPace: BodyPace = { grace: 30_000, rate: 16 };

/** What nobody wants is not worth waiting for: a new connection is made sooner. */
const drainPace: BodyPace = { grace: 1000, rate: 64 };

/** A body read into memory up to a limit. */
export interface CappedBody {
  bytes: Uint8Array;
  /** Whether the body went on past the limit; the rest was not read. */
  cut: boolean;
}

/**
 * Reads at most `limit` bytes of a body, with its content coding undone, and cancels what is beyond.
 * Throws `network` when it takes longer than `pace` allows.
 */
export async function readUpTo(
  response: HttpResponse,
  limit: number,
  pace: BodyPace = documentPace,
): Promise<CappedBody> {
  const { bytes, cut } = await readRaw(response, limit, pace);
  if (cut) return { bytes, cut };
  return decodeDocument(bytes, response.headers, limit);
}

async function readRaw(
  { body, url }: HttpResponse,
  limit: number,
  { grace, rate }: BodyPace,
): Promise<CappedBody> {
  if (body === undefined) return { bytes: new Uint8Array(0), cut: false };
  const chunks: Uint8Array[] = [];
  let size = 0;
  let cut = false;
  let late = false;
  const reader = body.getReader();
  const started = performance.now();
  const left = (): number => started + grace + size / rate - performance.now();
  const look = (): void => {
    if (left() > 0) {
      timer = setTimeout(look, left());
      return;
    }
    late = true;
    // The read that waits ends with this.
    reader.cancel().catch(() => undefined);
  };
  let timer = setTimeout(look, grace);
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) break;
      const room = limit - size;
      if (value.byteLength > room) {
        chunks.push(value.slice(0, room));
        size = limit;
        cut = true;
        await reader.cancel().catch(() => undefined);
        break;
      }
      chunks.push(value);
      size += value.byteLength;
    }
  } finally {
    clearTimeout(timer);
  }
  if (late) {
    const seconds = Math.round((performance.now() - started) / 1000);
    throw failureError(url.host, "stalled", {
      what: `the response is too slow: ${size} bytes in ${seconds} s`,
    });
  }
  const bytes = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    bytes.set(chunk, at);
    at += chunk.byteLength;
  }
  return { bytes, cut };
}

/**
 * Reads a whole body of at most `limit` bytes. Throws `network` when there is more; `on` names the
 * document.
 */
export async function readCapped(
  response: HttpResponse,
  limit: number,
  on: string,
): Promise<Uint8Array> {
  const { bytes, cut } = await readUpTo(response, limit);
  if (!cut) return bytes;
  throw new OcibundleError("network", `${on}: the response is larger than ${limit} bytes`, {
    hint: `check that ${response.url.host} is a registry`,
  });
}

/** Lets go of an answer: a short rest is read so that the connection can serve again. Never throws. */
export async function discard(response: HttpResponse): Promise<void> {
  await readRaw(response, maxDrainBytes, drainPace).catch(() => undefined);
}
