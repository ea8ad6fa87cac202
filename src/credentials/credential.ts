/** How somebody shows who they are to a registry. The HTTP client has the same type: neither imports the other. */
export type Credential =
  | { kind: "password"; username: string; password: string }
  /** An OAuth2 refresh token ("identity token"): exchanged for access tokens. */
  | { kind: "refresh"; token: string; username?: string }
  /** A bearer token used as it is. */
  | { kind: "bearer"; token: string };

/** The environment's variables. */
export type Environment = Readonly<Record<string, string | undefined>>;
