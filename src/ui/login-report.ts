import type { LoginResult, LogoutResult } from "../report/login.ts";

/** What is said after a login. */
export function loginReport({ host, username, keptBy, checked }: LoginResult): string {
  const lines = [`logged in to ${host} as ${username}`];
  if (!checked) lines.push(`the password was not verified: ${host} requires no login`);
  lines.push(
    keptBy.kind === "helper"
      ? `password stored by docker-credential-${keptBy.name}`
      : `password stored unencrypted in ${keptBy.path}`,
  );
  return `${lines.join("\n")}\n`;
}

/** What is said after a logout. */
export function logoutReport({ host, removed, left }: LogoutResult): string {
  const lines = [removed ? `logged out of ${host}` : `not logged in to ${host}`];
  for (const place of left) {
    lines.push(
      place.kind === "helper"
        ? `docker-credential-${place.name} still has a password for ${host}`
        : `${place.path} still has an entry "${place.key}" that was not created by ocibundle`,
    );
  }
  return `${lines.join("\n")}\n`;
}
