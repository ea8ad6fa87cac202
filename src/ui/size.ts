import { OcibundleError } from "../errors.ts";

const units = ["KiB", "MiB", "GiB", "TiB", "PiB"] as const;

/**
 * Bytes for people, in the 1024-based units in which sizes are typed: `812 B`, `6.1 GiB`, `253 MiB`. One
 * decimal below 100 of a unit. What can't be a size is shown as it is.
 */
export function formatSize(bytes: number): string {
  const { value, unit } = scaleSize(bytes);
  return `${value} ${unit}`;
}

/** A done part of a whole in the whole's unit: `9.0/16.1 GiB`. */
export function formatPart(done: number, total: number): string {
  const whole = scaleSize(total);
  const divisor = divisorOf(whole.unit);
  return `${scaled(done, divisor)}/${whole.value} ${whole.unit}`;
}

/** Bytes per second for people: `812 MiB/s`. */
export const formatRate = (bytesPerSecond: number): string => `${formatSize(bytesPerSecond)}/s`;

function scaleSize(bytes: number): { value: string; unit: string } {
  let unit = "B";
  for (const larger of units) {
    // 1023.6 KiB would read "1024 KiB"
    if (Math.abs(bytes) < divisorOf(larger) * 0.9995) break;
    unit = larger;
  }
  return { value: scaled(bytes, divisorOf(unit)), unit };
}

const divisorOf = (unit: string): number =>
  1024 ** (units.indexOf(unit as (typeof units)[number]) + 1);

function scaled(bytes: number, divisor: number): string {
  if (divisor === 1) return String(Math.round(bytes));
  const value = bytes / divisor;
  return Math.abs(value) < 99.95 ? value.toFixed(1) : value.toFixed(0);
}

const sizePattern = /^(\d+(?:\.\d+)?)\s*(b|[kmgt](?:i?b)?)?$/i;
const binaryPowers: Readonly<Record<string, number>> = { b: 0, k: 1, m: 2, g: 3, t: 4 };

/**
 * Reads a size as typed on the command line, to bytes: `25MiB`, `25mb`, `1.5gb`, `4096`. Units are
 * 1024-based, however they are spelled; fractions of a byte are rounded. Throws `usage`.
 */
export function parseSize(text: string): number {
  const match = sizePattern.exec(text.trim());
  const power = binaryPowers[match?.[2]?.[0]?.toLowerCase() ?? "b"];
  const bytes = Math.round(Number(match?.[1]) * 1024 ** (power ?? 0));
  if (match === null || power === undefined || !Number.isSafeInteger(bytes)) {
    throw new OcibundleError("usage", `"${text}" is not a size`, {
      hint: "use a number of bytes or a unit of KiB, MiB, GiB or TiB, such as 25MiB",
    });
  }
  return bytes;
}
