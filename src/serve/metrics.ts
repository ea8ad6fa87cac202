import type { ByteOrigin } from "./hub-source.ts";
import type { RouteName } from "./routes.ts";

/** What a server counts; in the text format of Prometheus at `/metrics`. */
export interface Metrics {
  /** A request was answered. */
  answered(route: RouteName, status: number, seconds: number): void;
  /** Bytes of files were sent; of `from` when the answer began. */
  sent(from: ByteOrigin, bytes: number): void;
  /** An answer with bytes of a file began. */
  began(from: ByteOrigin): void;
  /** A connection was cut, for the reason. */
  cut(reason: "bytes" | "stalled" | "failed"): void;
  text(gauges: { connections: number; bodies: number }): string;
}

const origins: readonly ByteOrigin[] = ["cache", "registry"];

/** Counters of one server, all at zero. */
export function createMetrics(): Metrics {
  const requests = new Map<string, number>();
  const seconds = new Map<RouteName, { sum: number; count: number }>();
  const bytes = { cache: 0, registry: 0 };
  const answers = { cache: 0, registry: 0 };
  const cuts = { bytes: 0, stalled: 0, failed: 0 };
  const add = (key: string): void => void requests.set(key, (requests.get(key) ?? 0) + 1);
  return {
    answered(route, status, took) {
      add(`route="${route}",code="${status}"`);
      const known = seconds.get(route) ?? { sum: 0, count: 0 };
      seconds.set(route, { sum: known.sum + took, count: known.count + 1 });
    },
    began(from) {
      answers[from] += 1;
    },
    sent(from, count) {
      bytes[from] += count;
    },
    cut(reason) {
      cuts[reason] += 1;
    },
    text({ connections, bodies }) {
      const all = answers.cache + answers.registry;
      return [
        ...family("requests_total", "counter", "Requests served.", requests),
        ...family("request_seconds", "summary", "Time from a request to the end of its response."),
        ...[...seconds].flatMap(([route, { sum, count }]) => [
          sample("request_seconds_sum", `route="${route}"`, sum),
          sample("request_seconds_count", `route="${route}"`, count),
        ]),
        ...family(
          "sent_bytes_total",
          "counter",
          "Bytes of files sent to clients, by source.",
          origins.map((from) => [`source="${from}"`, bytes[from]] as const),
        ),
        ...family(
          "file_answers_total",
          "counter",
          "Responses with file content, by source.",
          origins.map((from) => [`source="${from}"`, answers[from]] as const),
        ),
        ...family(
          "cache_hit_ratio",
          "gauge",
          "Share of those responses that were served from the cache.",
          [["", all === 0 ? 0 : answers.cache / all]],
        ),
        ...family(
          "cut_connections_total",
          "counter",
          "Connections closed in the middle of a response.",
          Object.entries(cuts).map(([reason, count]) => [`reason="${reason}"`, count] as const),
        ),
        ...family("connections", "gauge", "Open connections.", [["", connections]]),
        ...family("bodies", "gauge", "Responses with file content in progress.", [["", bodies]]),
        "",
      ].join("\n");
    },
  };
}

const prefix = "ocibundle_serve_";

const sample = (name: string, labels: string, value: number): string =>
  `${prefix}${name}${labels === "" ? "" : `{${labels}}`} ${value}`;

const family = (
  name: string,
  type: string,
  help: string,
  samples: Iterable<readonly [labels: string, value: number]> = [],
): string[] => [
  `# HELP ${prefix}${name} ${help}`,
  `# TYPE ${prefix}${name} ${type}`,
  ...Array.from(samples, ([labels, value]) => sample(name, labels, value)),
];
