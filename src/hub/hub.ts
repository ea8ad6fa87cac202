import type { CertificateOptions } from "../http/certificates.ts";
import type { EmitHttpEvent } from "../http/message/message.ts";
import type { Clock } from "../retry/clock.ts";
import { createHubClient } from "./client.ts";
import { hubEndpoint, hubToken } from "./endpoint.ts";
import { hubFileOpener } from "./file.ts";
import { type HubFile, type HubListing, listModel, readRevision } from "./listing.ts";
import type { ReadRange } from "../oci/content.ts";
import { slots } from "../remote/slots.ts";
import { formatHubUri, type HubAddress } from "./uri.ts";

/** What a run reaches the hub with. */
export interface OpenHubOptions {
  /** Names the endpoint, the token, and the proxies. */
  env: Readonly<Record<string, string | undefined>>;
  /** Whether a hub that is not on loopback may be asked by plain HTTP. */
  plainHttp: boolean;
  /** The certificates for the hub at `host`. */
  certificates(host: string): CertificateOptions;
  emit: EmitHttpEvent;
  clock?: Clock | undefined;
}

/** One hub, and what a run knows of it. */
export interface Hub {
  /** With the path that it may have, without a slash at its end. */
  endpoint: string;
  /** The files of a model; asked for once for each revision. */
  list(address: HubAddress, signal: AbortSignal): Promise<HubListing>;
  /** The license of a model at a revision, where its card names one. One request, unless it was listed. */
  license(address: HubAddress, signal: AbortSignal): Promise<string | undefined>;
  /** The bytes of a range of a listed file. */
  open(listing: Pick<HubListing, "model" | "commit">, file: HubFile): ReadRange;
}

/** The hub that the environment names. Makes no request by itself. Throws `usage`, `file`. */
export async function openHub({ env, plainHttp, ...options }: OpenHubOptions): Promise<Hub> {
  const endpoint = hubEndpoint(env, plainHttp);
  const token = await hubToken(env);
  const { emit, clock } = options;
  const client = createHubClient({
    ...options.certificates(endpoint.host),
    endpoint,
    token,
    env,
    emit,
    clock,
  });
  const shared = slots();
  const listings = new Map<string, Promise<HubListing>>();
  return {
    endpoint: endpoint.href.replace(/\/$/, ""),
    list(address, signal) {
      const key = formatHubUri({ ...address, path: "" });
      const known = listings.get(key) ?? listModel(client, address, signal);
      listings.set(key, known);
      return known;
    },
    async license(address, signal) {
      for (const listing of listings.values()) {
        const { model, commit, license } = await listing;
        if (model === address.model && commit === address.revision) return license;
      }
      return (await readRevision(client, address, signal)).license;
    },
    open: ({ model, commit }, file) =>
      hubFileOpener(client, { model, commit, file, slots: shared }),
  };
}
