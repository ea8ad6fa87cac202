import type { IncomingMessage } from "node:http";
import { type Answer, failureAnswer, json, refusal, text } from "./answer.ts";
import type { Metrics } from "./metrics.ts";
import { maxTargetBytes, parseTarget } from "./request.ts";
import { type RouteName, route, type RouteOptions } from "./routes.ts";
import { UnreadBody, readBody } from "./request-body.ts";

/** Which requests are answered, and with what. */
export interface AnswerOptions extends RouteOptions {
  metrics: Metrics;
  /** Whether the Host header names this server; others are refused. */
  isHost(header: string | undefined): boolean;
  /** Whether the Authorization header lets a client in. */
  isAllowed(authorization: string | undefined): boolean;
  /** How long a client may take to send the body of a request, in milliseconds. */
  sending: number;
  /** How many there are now, for the metrics. */
  connections(): number;
}

/**
 * The answer to a request, and the route by whose name it is counted: what is refused for all of them first, then
 * what its target stands for. `bodies`: how many answers with bytes of files are in progress.
 */
export async function answerRequest(
  message: IncomingMessage,
  signal: AbortSignal,
  options: AnswerOptions,
  bodies: () => number,
): Promise<{ route: RouteName; answer: Answer }> {
  const { isHost, isAllowed, metrics, connections } = options;
  const { url = "/", method = "", headers, headersDistinct } = message;
  if (url.length > maxTargetBytes) return other(refusal(414, "the path is too long"));
  const hosts = headersDistinct["host"] ?? [];
  if (hosts.length !== 1 || !isHost(hosts[0])) {
    const named = hosts.length === 1 ? `the host ${shownName(hosts[0] ?? "")}` : "this host name";
    return other(refusal(421, `${named} is not served; allow it with --host-name`));
  }
  const target = parseTarget(url);
  if (target === undefined) return other(refusal(400, "the path is malformed"));
  const path = target.segments.join("/");
  if (path === "healthz") return other(reads(method) ? text("ok\n") : notAllowed(["GET", "HEAD"]));
  if (!isAllowed(headers.authorization)) {
    // Clients take the code for a model that is missing or private, and show the message.
    return other(
      refusal(401, "invalid token: set HF_TOKEN to the token of ocibundle serve (--token-file)", {
        code: "RepoNotFound",
        headers: { "www-authenticate": 'Bearer realm="ocibundle"' },
      }),
    );
  }
  if (path === "metrics") {
    const shown = metrics.text({ connections: connections(), bodies: bodies() });
    return other(
      reads(method) ? text(shown, "text/plain; version=0.0.4") : notAllowed(["GET", "HEAD"]),
    );
  }
  const found = route(target, options);
  if (found === undefined) {
    return other(reads(method) ? noSuchThing(path) : notAllowed(["GET", "HEAD"]));
  }
  if (!found.methods.includes(method)) {
    return { route: found.route, answer: notAllowed(found.methods) };
  }
  try {
    const answer = await found.answer({
      method: method as "GET" | "HEAD" | "POST",
      target,
      headers,
      body: () => readBody(message, options.sending),
      signal,
    });
    return { route: found.route, answer };
  } catch (error) {
    if (error instanceof UnreadBody) {
      const answer = refusal(error.status, error.message, { headers: { connection: "close" } });
      return { route: found.route, answer };
    }
    if (error instanceof SyntaxError)
      return { route: found.route, answer: refusal(400, error.message) };
    return { route: found.route, answer: failureAnswer(error) };
  }
}

/** A name that a client chose, for a message. */
const shownName = (name: string): string => JSON.stringify(name.slice(0, 256));

const other = (answer: Answer) => ({ route: "other" as const, answer });

const reads = (method: string): boolean => method === "GET" || method === "HEAD";

const notAllowed = (methods: readonly string[]): Answer =>
  refusal(405, "read-only: push changes to the registry", {
    headers: { allow: methods.join(", "), connection: "close" },
  });

/** Other things than models are not here; a client says that of a repository. */
function noSuchThing(path: string): Answer {
  if (path === "") return json({ service: "ocibundle" });
  const kind = /^(?:api\/)?(datasets|spaces|kernels|buckets)\//.exec(path)?.[1];
  const message =
    kind !== undefined
      ? `ocibundle serves no ${kind}`
      : path === "api/models"
        ? "models are not listed; allow it with --list"
        : `ocibundle serves no ${shownName(`/${path}`)}`;
  return refusal(404, message, { code: "RepoNotFound" });
}
