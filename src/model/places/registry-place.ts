import { parseImageSource, referenceOf } from "../../image/source/source.ts";
import { OcibundleError } from "../../errors.ts";
import { parseReference, type Reference } from "../../oci/reference.ts";

/** A reference to a registry, with what was really written of it. */
export interface RegistryPlace {
  reference: Reference;
  /** The tag that was written; undefined where only the default stands. */
  tag: string | undefined;
}

/** Reads a reference that must be to a registry: `REPO[:TAG][@DIGEST]`, with or without `docker://`. Throws `usage`. */
export function parseRegistryPlace(text: string, what: string): RegistryPlace {
  const reference = referenceOf(parseImageSource(text));
  if (reference === undefined) {
    throw new OcibundleError("usage", `${what} needs a registry reference: "${text}" is local`, {
      hint: "use a repository such as registry.example.com/acme/llama",
    });
  }
  const name = text.replace(/@[^/]*$/, "");
  const isTagged = name.lastIndexOf(":") > name.lastIndexOf("/");
  return { reference, tag: isTagged ? reference.tag : undefined };
}

/**
 * The registry that a text names, or undefined where it names a repository. A name without a slash is one of
 * Docker Hub's unless it can only be a host: `registry.example.com`, `localhost:5000`, `registry:5000/`.
 */
export function parseRegistryHost(text: string): string | undefined {
  const bare = text.replace(/^docker:\/\//, "");
  const name = bare.replace(/\/$/, "");
  if (name === "" || name.includes("/") || name.includes("@")) return undefined;
  const host = name.replace(/:\d*$/, "");
  const isHost = bare.endsWith("/") || /^(?:localhost|\[.*\]|[^:]*\.[^:]*)$/i.test(host);
  if (!isHost) return undefined;
  // A repository behind it makes the reference whole.
  return parseReference(`${name}/library/check`).host;
}
