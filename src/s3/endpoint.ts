import { OcibundleError } from "../errors.ts";
import { isLoopback } from "../http/message/loopback.ts";

type Environment = Readonly<Record<string, string | undefined>>;

/** Where an object store is. */
export interface S3Endpoint {
  /** As configured, without a slash at its end; undefined for Amazon's own. */
  url: URL | undefined;
  /** The region that is asked first; the store may name another one for a bucket. */
  region: string;
  isRegionGiven: boolean;
}

const defaultRegion = "us-east-1";

/** The endpoint and the region that the environment names, as Amazon's own clients do. Throws `usage`. */
export function s3Endpoint(
  env: Environment,
  plainHttp: boolean,
  profileRegion: string | undefined,
): S3Endpoint {
  const region = env["AWS_REGION"] || env["AWS_DEFAULT_REGION"] || profileRegion;
  if (region !== undefined && !/^[A-Za-z0-9-]{1,64}$/.test(region)) {
    throw new OcibundleError("usage", `AWS_REGION ${JSON.stringify(region)} is not a region`, {
      hint: "set AWS_REGION to a name such as eu-west-1",
    });
  }
  return {
    url: endpointOf(env, plainHttp),
    region: region ?? defaultRegion,
    isRegionGiven: region !== undefined,
  };
}

function endpointOf(env: Environment, plainHttp: boolean): URL | undefined {
  const name = ["AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"].find((key) => env[key]?.trim());
  const text = name === undefined ? undefined : env[name]?.trim();
  if (name === undefined || text === undefined) return undefined;
  const fail = (why: string, hint: string): never => {
    throw new OcibundleError("usage", `${name} ${why}`, { hint });
  };
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    return fail(
      "is not an http or https URL",
      "set it to a URL such as https://s3.example.com, or unset it",
    );
  }
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") {
    return fail(
      "contains a username, a query or a fragment",
      "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY to authenticate",
    );
  }
  if (url.protocol === "http:" && !isLoopback(url.host) && !plainHttp) {
    return fail(`"${url.origin}" is plain HTTP`, "set an https URL, or use --plain-http");
  }
  url.pathname = url.pathname.replace(/\/+$/, "");
  return url;
}

/** A part of a URL as SigV4 wants it encoded (RFC 3986). */
const encoded = (text: string): string =>
  encodeURIComponent(text).replaceAll(
    /[!'()*]/g,
    (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase()}`,
  );

/** The domain of Amazon's endpoints in a region. */
export const amazonDomain = (region: string): string =>
  region.startsWith("cn-") ? "amazonaws.com.cn" : "amazonaws.com";

/** The URL of an object; of the bucket itself with an empty key. */
export function objectUrl({ url }: S3Endpoint, region: string, bucket: string, key: string): URL {
  const path = key.split("/").map(encoded).join("/");
  if (url !== undefined) return new URL(`${url.href.replace(/\/$/, "")}/${bucket}/${path}`);
  const host = `s3.${region}.${amazonDomain(region)}`;
  // A certificate's wildcard stands for one name, so that a bucket with dots goes into the path.
  return /^[a-z0-9-]+$/.test(bucket)
    ? new URL(`https://${bucket}.${host}/${path}`)
    : new URL(`https://${host}/${bucket}/${path}`);
}

/** A query in the form that is signed: sorted, with everything but unreserved characters encoded. */
export const queryOf = (parameters: Readonly<Record<string, string>>): string =>
  Object.entries(parameters)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, value]) => `${encoded(name)}=${encoded(value)}`)
    .join("&");
