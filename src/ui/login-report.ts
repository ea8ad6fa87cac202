/** What is said after a login. */
export function loginReport(result: {
  host: string;
  username: string;
  keptBy: { kind: "helper"; name: string } | { kind: "file"; path: string };
  checked: boolean;
}): string {
  const { host, username, keptBy, checked } = result;
  const lines = [`logged in to ${host} as ${username}`];
  if (!checked) lines.push(`${host} asked for no password, so it was not checked`);
  lines.push(
    keptBy.kind === "helper"
      ? `the password is kept by docker-credential-${keptBy.name}`
      : `the password is kept in ${keptBy.path}, not encrypted`,
  );
  return `${lines.join("\n")}\n`;
}
