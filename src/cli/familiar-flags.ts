/** What flags of docker, skopeo, crane and oras are called here: theirs, and the ones that do the same. */
const familiar: ReadonlyMap<string, string> = new Map([
  ["--tls-verify", "--insecure leaves out the check of certificates, --plain-http speaks http"],
  ["--src-tls-verify", "--insecure leaves out the check of certificates, --plain-http speaks http"],
  [
    "--dest-tls-verify",
    "--insecure leaves out the check of certificates, --plain-http speaks http",
  ],
  [
    "--skip-tls-verify",
    "--insecure leaves out the check of certificates, --plain-http speaks http",
  ],
  ["--debug", "--verbose says what is being done and why"],
  ["--creds", "keep credentials with `ocibundle login HOST`"],
  ["--src-creds", "keep credentials with `ocibundle login HOST`"],
  ["--dest-creds", "keep credentials with `ocibundle login HOST`"],
  ["--username", "keep credentials with `ocibundle login HOST`"],
  ["--authfile", "REGISTRY_AUTH_FILE names the file of credentials"],
  ["--registry-config", "DOCKER_CONFIG names the folder of config.json"],
  [
    "--password",
    "--password-stdin reads it from standard input, where no list of processes shows it",
  ],
  ["-p", "--password-stdin reads it from standard input, where no list of processes shows it"],
]);

/** What to type in the place of another tool's flag, or undefined where it is none that is known. */
export const familiarFlag = (typed: string): string | undefined => familiar.get(typed);
