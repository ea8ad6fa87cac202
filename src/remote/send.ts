import { amended, OcibundleError } from "../errors.ts";
import { certificates, type CertificateOptions } from "../http/certificates.ts";
import { connectTimeout } from "../http/connect-timeout.ts";
import { bufferDocuments } from "../http/message/buffer-documents.ts";
import { httpFailureOf } from "../http/message/failure.ts";
import type { EmitHttpEvent, Send } from "../http/message/message.ts";
import type { Environment } from "../http/proxy.ts";
import { proxyErrors } from "../http/proxy-errors.ts";
import { retrier, retry } from "../http/retry.ts";
import { traced } from "../http/trace.ts";
import { transport } from "../http/transport.ts";
import type { Clock } from "../retry/clock.ts";
import { runtime } from "../runtime/current.ts";
import { versionNumber } from "../version.ts";

/** What the client of one source of files is made with. */
export interface SourceSendOptions extends CertificateOptions {
  /** The origin that the certificates are for. */
  origin: URL;
  /** Names the proxies. */
  env: Environment;
  emit: EmitHttpEvent;
  clock: Clock;
  /** What goes between the requests as they are sent and their retries: redirects, signatures. */
  around(send: Send): Send;
}

/** Connecting and waiting for the first byte, and a pause of a body, in milliseconds. */
const patience = 60_000;

/** A host that lets nobody connect is given up after both, in milliseconds. */
const connecting = { doubtAfter: 5000, timeout: 10_000 } as const;

/** The HTTP client for one source of files. */
export function sourceSend({
  origin,
  env,
  emit,
  clock,
  around,
  ...options
}: SourceSendOptions): Send {
  const bottom = transport({
    userAgent: `ocibundle/${versionNumber()}`,
    env,
    connection: (wanted) => runtime.connection(wanted),
    pausesTls: runtime.pausesTls,
    tls: certificates(options, origin, {
      env,
      warn: (message) => emit({ type: "warning", message }),
    }),
    firstByteTimeout: patience,
    idleTimeout: patience,
  });
  const connected = connectTimeout(bottom, { env, ...connecting });
  const told = traced(proxyErrors(connected, env), emit);
  return retry(
    around(bufferDocuments(told)),
    retrier({ host: origin.host, clock, emit }),
    clock.now,
  );
}

/** A failed connection to a source: what a registry's user is told to do is of no use here. */
export function aboutSource(error: unknown, name: string, hint: string): unknown {
  if (!(error instanceof OcibundleError) || error.code !== "network") return error;
  const failure = httpFailureOf(error);
  const { subject } = error;
  const isNamed = subject.includes(name) || error.reason.startsWith(`${name}:`);
  return amended(error, {
    hint: failure === undefined || failure.kind === "tls" ? error.hint : hint,
    subject: isNamed ? subject : [name, ...subject],
  });
}
