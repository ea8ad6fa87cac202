import type { Kept } from "../credentials/kept.ts";

/** What `login` did. */
export interface LoginResult {
  host: string;
  username: string;
  /** The program or the file that keeps the password from now on. */
  keptBy: { kind: "helper"; name: string } | { kind: "file"; path: string };
  /** Whether the registry asked for the password: one that lets everybody in checks none. */
  checked: boolean;
}

/** What `logout` did. */
export interface LogoutResult {
  host: string;
  /** Whether there was anything to forget. */
  removed: boolean;
  /** Where something is kept all the same, for the registry or for repositories of it. */
  left: Kept[];
}
