import { createHmac, randomBytes } from "node:crypto";
import { sameSecret } from "./account.ts";

/** Signs texts so that only what this process has signed is believed. */
export interface Signer {
  sign(text: string): string;
  isSigned(text: string, signature: string): boolean;
}

/** A signer with a key of its own, which nobody else ever has. */
export function createSigner(): Signer {
  const key = randomBytes(32);
  const sign = (text: string): string => createHmac("sha256", key).update(text).digest("base64url");
  return { sign, isSigned: (text, signature) => sameSecret(sign(text), signature) };
}

/** What is signed of a token's claims, so that no other signature of the key makes a token. */
export const accessText = (claims: string): string => `access ${claims}`;

/** What is signed as the token to get tokens with. */
export const refreshText = "refresh token";
