const tls = "--insecure leaves out the check of certificates, --plain-http speaks http";
const login = "keep credentials with `ocibundle login HOST`";
const password =
  "--password-stdin reads it from standard input, where no list of processes shows it";

/** What flags of docker, skopeo, crane and oras are called here: theirs, and the ones that do the same. */
const familiar: ReadonlyMap<string, string> = new Map([
  ["--tls-verify", tls],
  ["--src-tls-verify", tls],
  ["--dest-tls-verify", tls],
  ["--skip-tls-verify", tls],
  ["--debug", "--verbose says what is being done and why"],
  ["--creds", login],
  ["--src-creds", login],
  ["--dest-creds", login],
  ["--username", login],
  ["--authfile", "REGISTRY_AUTH_FILE names the file of credentials"],
  ["--registry-config", "DOCKER_CONFIG names the folder of config.json"],
  ["--password", password],
  ["-p", password],
]);

/** What to type in the place of another tool's flag, or undefined where it is none that is known. */
export const familiarFlag = (typed: string): string | undefined => familiar.get(typed);
