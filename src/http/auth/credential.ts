/** How somebody shows who they are. */
export type Credential =
  | { kind: "password"; username: string; password: string }
  /** An OAuth2 refresh token ("identity token"): exchanged for access tokens. */
  | { kind: "refresh"; token: string; username?: string }
  /** A bearer token used as it is. */
  | { kind: "bearer"; token: string };

/** Looks a credential up for a repository (or the registry as a whole). */
export type FindCredential = (
  host: string,
  repository: string | undefined,
) => Promise<Credential | undefined>;

/** The value of an `Authorization` header of scheme Basic (RFC 7617), in UTF-8. */
export const basicAuthorization = (username: string, password: string): string =>
  `Basic ${Buffer.from(`${username}:${password}`, "utf8").toString("base64")}`;
