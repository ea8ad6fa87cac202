import * as v from "valibot";
import { OcibundleError } from "../errors.ts";
import { parseDocument } from "../oci/document.ts";
import { goObject } from "../oci/go-object.ts";
import { type Api, apiUrl } from "./api.ts";
import { pages } from "./pages.ts";
import { refusalOf } from "./refusal.ts";

const CatalogSchema = goObject({ repositories: v.optional(v.array(v.string())) });

/** What registries without a catalog answer. */
const noCatalog: ReadonlySet<number> = new Set([400, 404, 405, 501]);

/**
 * The repositories of a registry in its order, a page at a time. The catalog is no part of the
 * specification: distribution introduced it, and many hosted registries lack it. Throws `not_found` where
 * there is none, `denied`, `network`.
 */
export async function* listRepositories(
  api: Api,
  signal: AbortSignal,
): AsyncGenerator<string, void, undefined> {
  const thing = "catalog";
  const list = pages(api, {
    method: "GET",
    url: apiUrl(api, "_catalog"),
    headers: { accept: "application/json" },
    scopes: [{ type: "registry", name: "catalog", actions: ["*"] }],
    accept: [200],
    thing,
    signal,
  });
  try {
    for await (const { bytes } of list) {
      const on = `${api.host}: ${thing}`;
      yield* parseDocument(bytes, CatalogSchema, on, "network").repositories ?? [];
    }
  } catch (error) {
    const status = refusalOf(error)?.status;
    if (status === undefined) throw error;
    const hint = "use a repository: `ocibundle ls HOST/REPOSITORY`";
    if (status === 401 || status === 403) {
      throw new OcibundleError("denied", `${api.host}: access to the catalog denied (${status})`, {
        hint: `${hint}, or log in with an account that can list all repositories`,
        cause: error,
      });
    }
    if (!noCatalog.has(status)) throw error;
    throw new OcibundleError("not_found", `${api.host}: the registry has no catalog (${status})`, {
      hint,
      cause: error,
    });
  }
}
