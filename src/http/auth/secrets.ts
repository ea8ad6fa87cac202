import type { Credential } from "./credential.ts";
import { dropOldest } from "../../flow/drop-oldest.ts";

/** A shorter one would be found in other words, in characters. */
const shortest = 4;
/** Tokens that ended long ago are forgotten. */
const most = 1000;

/** What a client sends to show who it is, so that nobody's words repeat it. */
export interface Secrets {
  /** What a credential has in it, in the forms in which it is sent. */
  addCredential(credential: Credential): void;
  addToken(token: string): void;
  /** The text with all of them struck out. */
  strike(text: string): string;
}

/** Keeps the secrets of one client, in memory only. */
export function knownSecrets(): Secrets {
  const known = new Set<string>();
  const add = (secret: string): void => {
    if (secret.length < shortest) return;
    known.delete(secret);
    known.add(secret);
    dropOldest(known, most);
  };
  return {
    addCredential(credential) {
      if (credential.kind !== "password") return add(credential.token);
      add(credential.password);
      add(Buffer.from(`${credential.username}:${credential.password}`).toString("base64"));
    },
    addToken: add,
    strike(text) {
      let struck = text;
      // The longest first: one may be a part of another.
      for (const secret of [...known].toSorted((a, b) => b.length - a.length)) {
        struck = struck.replaceAll(secret, "***");
      }
      return struck;
    },
  };
}
