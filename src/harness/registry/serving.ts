import { OcibundleError } from "../../errors.ts";
import { parseFault } from "../misbehave/faults/parse.ts";
import { withFaults } from "../misbehave/faults/faults.ts";
import { type Account, parseAccount } from "./auth/account.ts";
import { basicAuth } from "./auth/basic-auth.ts";
import { type Layer, layered } from "./auth/middleware.ts";
import { readOnly } from "./auth/read-only.ts";
import { tokenAuth } from "./auth/token-auth.ts";
import { pullThrough } from "../misbehave/upstream/upstream.ts";
import {
  type Personality,
  personality,
  type PersonalityName,
} from "../misbehave/personalities/personality.ts";
import { createEmbeddedRegistry, type RegistryHandler } from "./routes/registry.ts";

/** How a registry is to serve, as it was asked for. */
export interface Serving {
  /** `USER:PASS` */
  auth?: string | undefined;
  tokenAuth?: boolean | undefined;
  /** What a token lives, in milliseconds. */
  tokenLifetime?: number | undefined;
  tls?: boolean | undefined;
  readOnly?: boolean | undefined;
  /** The URL of a registry to pull through. */
  upstream?: string | undefined;
  like?: PersonalityName | undefined;
  /** How much smaller the limits of `like` are. */
  scale?: number | undefined;
  /** In the grammar of `parseFault`. */
  fault?: readonly string[] | undefined;
}

/** Flags that ask for the same again, but for `--auth`: arguments can be read by everybody on the machine. */
export const servingArgs = (serving: Serving): string[] => [
  ...(serving.tokenAuth === true ? ["--token-auth"] : []),
  ...(serving.tokenLifetime === undefined ? [] : [`--token-lifetime=${serving.tokenLifetime}ms`]),
  ...(serving.tls === true ? ["--tls"] : []),
  ...(serving.readOnly === true ? ["--read-only"] : []),
  ...(serving.upstream === undefined ? [] : [`--upstream=${serving.upstream}`]),
  ...(serving.like === undefined ? [] : [`--like=${serving.like}`]),
  ...(serving.scale === undefined ? [] : [`--scale=${serving.scale}`]),
  ...(serving.fault ?? []).map((fault) => `--fault=${fault}`),
];

/** Whom the registry is to behave like; undefined: nobody. Throws `usage`. */
const waysOf = ({ like, scale }: Serving): Personality | undefined => {
  if (scale !== undefined && like === undefined) {
    throw new OcibundleError("usage", "--scale needs --like", { hint: "add --like" });
  }
  return like === undefined ? undefined : personality(like, scale);
};

/** Checks what was asked for, before anything is started. Throws `usage`. */
export const servingLayers = (serving: Serving): Layer[] => {
  const { fault = [], upstream } = serving;
  const ways = waysOf(serving);
  const faults = fault.map(parseFault);
  return [
    ...(faults.length > 0 ? [withFaults(faults)] : []),
    ...(ways?.outer ?? []),
    ...credentials(serving, ways),
    ...(serving.readOnly === true ? [readOnly] : []),
    ...(ways?.inner ?? []),
    ...(upstream === undefined ? [] : [pullThrough(upstreamUrl(upstream))]),
  ];
};

/** Opens the registry of a storage with all that is to be around it. Throws `usage` and `file`. */
export async function openServed(storage: string, serving: Serving): Promise<RegistryHandler> {
  const layers = servingLayers(serving);
  const registry = await createEmbeddedRegistry({
    storage,
    sparse: serving.upstream !== undefined,
    minChunkLength: waysOf(serving)?.minChunkLength,
  });
  return layered(registry, layers);
}

function credentials(
  { auth, tokenAuth: tokens = false, tokenLifetime }: Serving,
  ways: Personality | undefined,
): Layer[] {
  const account: Account | undefined = auth === undefined ? undefined : parseAccount(auth);
  if (tokens || ways?.auth === "token") {
    const lifetime = tokenLifetime ?? ways?.tokenLifetime;
    return [tokenAuth({ account, lifetime, realm: ways?.realm })];
  }
  if (tokenLifetime !== undefined) {
    throw new OcibundleError("usage", "--token-lifetime needs --token-auth", {
      hint: "add --token-auth",
    });
  }
  return account === undefined ? [] : [basicAuth(account)];
}

function upstreamUrl(text: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url?.protocol === "http:" || url?.protocol === "https:") return url;
  throw new OcibundleError("usage", "--upstream must be an http or https URL", {
    hint: "use, for example, --upstream https://registry-1.docker.io",
  });
}
