import { OcibundleError } from "../../errors.ts";
import { isLoopback } from "../message/loopback.ts";

/**
 * Checks the realm of a bearer challenge: a URL that a stranger names and that credentials go to.
 * It must be https; http is taken on loopback when the registry itself is there, and with
 * `plainHttp`. Throws `network`.
 */
export function checkRealm(
  realm: string | undefined,
  registry: { host: string; url: URL; plainHttp: boolean },
): URL {
  const fail = (why: string): OcibundleError =>
    new OcibundleError("network", `invalid token server: ${why}`, {
      subject: registry.host,
      hint: "report this to the registry's operator",
    });
  if (realm === undefined || realm === "") throw fail("the challenge has no realm");
  if (!URL.canParse(realm)) throw fail("the realm is not a URL");
  const url = new URL(realm);
  if (url.username !== "" || url.password !== "") throw fail("the realm contains a username");
  if (url.protocol === "https:") return url;
  if (url.protocol !== "http:") throw fail("the realm is not https");
  const local = isLoopback(url.host) && isLoopback(registry.url.host);
  if (!local && !registry.plainHttp) throw fail("the realm is not https");
  return url;
}
