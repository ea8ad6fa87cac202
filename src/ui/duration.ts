import { OcibundleError } from "../errors.ts";

const second = 1000;
const minute = 60 * second;
const hour = 60 * minute;
const day = 24 * hour;

/** Milliseconds for people: `0.4 s`, `21 s`, `3 min 20 s`, `2 h 5 min`. */
export function formatDuration(milliseconds: number): string {
  const ms = Math.max(0, milliseconds);
  if (ms < 9.95 * second) return `${(ms / second).toFixed(1)} s`;
  const seconds = Math.round(ms / second);
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return joined(Math.floor(seconds / 60), "min", seconds % 60, "s");
  const minutes = Math.round(seconds / 60);
  return joined(Math.floor(minutes / 60), "h", minutes % 60, "min");
}

function joined(whole: number, unit: string, rest: number, restUnit: string): string {
  return rest === 0 ? `${whole} ${unit}` : `${whole} ${unit} ${rest} ${restUnit}`;
}

/** Milliseconds that are left, as narrow as can be: `9s`, `3m20s`, `2h05m`, `4d`. */
export function formatRemaining(milliseconds: number): string {
  const seconds = Math.max(0, Math.ceil(milliseconds / second));
  if (seconds < 60) return `${seconds}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${padded(seconds % 60)}s`;
  const minutes = Math.ceil(seconds / 60);
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)}h${padded(minutes % 60)}m`;
  return `${Math.round(minutes / (24 * 60))}d`;
}

const padded = (value: number): string => String(value).padStart(2, "0");

const unitLengths: Readonly<Record<string, number>> = {
  ms: 1,
  s: second,
  m: minute,
  h: hour,
  d: day,
  w: 7 * day,
};
const durationPattern = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+$/;

/**
 * Reads a duration as typed on the command line, to whole milliseconds: `30s`, `5m`, `1h30m`, `500ms`. Throws
 * `usage`.
 */
export function parseDuration(text: string): number {
  const trimmed = text.trim().toLowerCase();
  let total = trimmed === "0" ? 0 : Number.NaN;
  if (durationPattern.test(trimmed)) {
    total = 0;
    for (const [, value, unit] of trimmed.matchAll(/([\d.]+)(ms|s|m|h|d|w)/g)) {
      total += Number(value) * (unitLengths[unit ?? ""] ?? Number.NaN);
    }
  }
  const milliseconds = Math.round(total);
  if (!Number.isSafeInteger(milliseconds)) {
    throw new OcibundleError("usage", `"${text}" is not a duration`, {
      hint: "use a number with a unit of ms, s, m, h, d or w, such as 30s or 1h30m",
    });
  }
  return milliseconds;
}
