import { AwsV4Signer } from "aws4fetch";
import { knownSecrets } from "../http/auth/secrets.ts";
import type { CertificateOptions } from "../http/certificates.ts";
import { discard } from "../http/message/body.ts";
import type { EmitHttpEvent, HttpRequest, HttpResponse, Send } from "../http/message/message.ts";
import { aboutSource, sourceSend } from "../remote/send.ts";
import { type Clock, systemClock } from "../retry/clock.ts";
import type { Environment, S3Credential } from "./credential.ts";
import { s3Credentials } from "./credentials.ts";
import { objectUrl, queryOf, s3Endpoint } from "./endpoint.ts";
import { readS3Refusal } from "./refusal.ts";

/** What a run reaches object stores with. */
export interface S3Options {
  /** Names the endpoint, the region, the credentials, and the proxies. */
  env: Environment;
  /** Whether an endpoint that is not on loopback may be asked by plain HTTP. */
  plainHttp: boolean;
  /** The certificates for the store at `host`. */
  certificates(host: string): CertificateOptions;
  emit: EmitHttpEvent;
  clock?: Clock | undefined;
}

/** A request for an object, or for the listing of a bucket. */
export interface S3Request {
  method: "GET" | "HEAD";
  bucket: string;
  /** Empty for the bucket itself. */
  key: string;
  /** Not encoded. */
  query?: Readonly<Record<string, string>>;
  headers?: Readonly<Record<string, string>>;
  /** What it is about, for messages: `s3://bucket/key`. */
  name: string;
  /** Statuses that are an answer; all others are thrown as a refusal. */
  accept: readonly number[];
  /** For an answer that is a document: its limit in bytes. */
  maxDocument?: number;
  /** Whether the answer may be a large file. */
  large?: boolean;
  signal: AbortSignal;
}

/** The client of one object store. */
export interface S3Client {
  /** Where it is, for records: objects of one name in two stores are two. */
  store: string;
  /**
   * Makes a request, signed where there are credentials, and judges its status. Throws `not_found`, `denied`,
   * `integrity` where a condition is not met, `network`.
   */
  ask(request: S3Request): Promise<HttpResponse>;
}

const connectHint =
  "check the network connection to the object store, AWS_ENDPOINT_URL, and any proxy";

/** The client of the store that the environment names. Makes no request by itself. Throws `usage`, `file`. */
export async function createS3Client(options: S3Options): Promise<S3Client> {
  const { env, plainHttp, emit, clock = systemClock, certificates } = options;
  const credentials = await s3Credentials(env, (profile) => {
    const { region, isRegionGiven } = s3Endpoint(env, plainHttp, profile?.region);
    return { env, region: isRegionGiven ? region : undefined, emit, clock, certificates };
  });
  const endpoint = s3Endpoint(env, plainHttp, credentials.profile?.region);
  const secrets = knownSecrets();
  const regions = new Map<string, string>();
  const keys = new Map<string, ArrayBuffer>();
  const senders = new Map<string, Send>();

  const sendTo = (origin: URL, region: string): Send => {
    const id = `${origin.origin} ${region}`;
    const known = senders.get(id);
    if (known !== undefined) return known;
    const send = sourceSend({
      ...certificates(origin.host),
      origin,
      env,
      emit,
      clock,
      // Inside of the retries: a signature is of its time.
      around: (next) => async (request) => {
        const credential = await credentials.get(request.signal);
        if (credential === undefined) return next(request);
        secrets.addToken(credential.secretAccessKey);
        if (credential.sessionToken !== undefined) secrets.addToken(credential.sessionToken);
        return next(await sign(request, region, credential, keys));
      },
    });
    senders.set(id, send);
    return send;
  };

  return {
    store: endpoint.url?.href.replace(/\/$/, "") ?? "aws",
    async ask({ bucket, key, query = {}, headers = {}, name, accept, signal, ...rest }) {
      for (;;) {
        const region = regions.get(bucket) ?? endpoint.region;
        const url = objectUrl(endpoint, region, bucket, key);
        url.search = queryOf(query);
        let response: HttpResponse;
        try {
          response = await sendTo(
            url,
            region,
          )({
            ...rest,
            url,
            headers,
            repeatable: "always",
            scopes: [],
            about: [name],
            signal,
          });
        } catch (error) {
          throw aboutSource(error, name, connectHint);
        }
        if (accept.includes(response.status)) return response;
        const named = response.headers.get("x-amz-bucket-region");
        // A bucket of another region: it is asked there, once.
        if (named !== null && /^[a-z0-9-]{1,64}$/.test(named) && !regions.has(bucket)) {
          regions.set(bucket, named);
          if (named !== region) {
            await discard(response);
            continue;
          }
        }
        throw await readS3Refusal(response, {
          name,
          region,
          store: url.host,
          isSigned: (await credentials.get(signal)) !== undefined,
          strike: secrets.strike,
        });
      }
    },
  };
}

/** The same request with a signature (SigV4) in its headers; the body is not signed. */
async function sign(
  request: HttpRequest,
  region: string,
  { accessKeyId, secretAccessKey, sessionToken }: S3Credential,
  cache: Map<string, ArrayBuffer>,
): Promise<HttpRequest> {
  const signer = new AwsV4Signer({
    method: request.method,
    url: request.url.href,
    headers: { ...request.headers },
    accessKeyId,
    secretAccessKey,
    ...(sessionToken === undefined ? {} : { sessionToken }),
    service: "s3",
    region,
    cache,
  });
  const { headers } = await signer.sign();
  return { ...request, headers: Object.fromEntries(headers) };
}
