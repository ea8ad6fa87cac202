const tls = "use --insecure to skip certificate verification, or --plain-http to use HTTP";
const login = "log in once with `ocibundle login HOST`";
const password = "use --password-stdin: flags are visible in process lists";
const layout = "name a layout as oci:DIR[:TAG], an archive as oci-archive:FILE[:TAG]";
const only = "use `ocibundle pull --only GLOB`, or `ocibundle lock PATH` for the files to include";
const automatic = "omit it: this is always done";
const tag = "write the tag into the reference, as registry.example.com/acme/llama:v1";
const platform = "use --platform OS/ARCH";
const cache = "set OCIBUNDLE_CACHE to the cache directory";

/** Flags of docker, hf, oras, crane, regctl and skopeo, and what does the same here. */
const familiar: Readonly<Record<string, string>> = {
  "--tls-verify": tls,
  "--src-tls-verify": tls,
  "--dest-tls-verify": tls,
  "--skip-tls-verify": tls,
  "--tls": tls,
  "--from-insecure": tls,
  "--to-insecure": tls,
  "--from-plain-http": "use --plain-http",
  "--to-plain-http": "use --plain-http",
  "--cert-dir": "use --ca-file, --cert-file and --key-file",
  "--src-cert-dir": "use --ca-file, --cert-file and --key-file",
  "--dest-cert-dir": "use --ca-file, --cert-file and --key-file",
  "--cacert": "use --ca-file",
  "--debug": "use --verbose",
  "--log-level": "use --verbose",
  "--creds": login,
  "--src-creds": login,
  "--dest-creds": login,
  "--src-username": login,
  "--src-password": login,
  "--dest-username": login,
  "--dest-password": login,
  "--username": login,
  "--token": login,
  "--src-registry-token": login,
  "--dest-registry-token": login,
  "--authfile": "set REGISTRY_AUTH_FILE to the credentials file",
  "--src-authfile": "set REGISTRY_AUTH_FILE to the credentials file",
  "--dest-authfile": "set REGISTRY_AUTH_FILE to the credentials file",
  "--registry-config": "set DOCKER_CONFIG to the directory of config.json",
  "--password": password,
  "-p": password,
  "-t": tag,
  "--tag": tag,
  "--revision": tag,
  "--local-dir": "use -o DIR",
  "--output-dir": "use -o DIR",
  "--dir": "use -o DIR",
  "--cache-dir": cache,
  "--include": only,
  "--exclude": only,
  "--force-download": "use --no-cache to download again, --force to replace files",
  "--overwrite": "use --force",
  "--max-workers": "use --concurrency N",
  "--jobs": "use --concurrency N",
  "-j": "use --concurrency N",
  "--resume": automatic,
  "--resume-download": automatic,
  "--retry-times": automatic,
  "--preserve-digests": "omit it: `copy` never changes manifests",
  "--oci-layout": layout,
  "--to-oci-layout": layout,
  "--from-oci-layout": layout,
  "--all": "omit it: all platforms are copied unless --platform is given",
  "-a": "omit it: all platforms are copied unless --platform is given",
  "--multi-arch": "omit it: all platforms are copied unless --platform is given",
  "--recursive": "use --referrers to copy signatures and other referrers",
  "-r": "use --referrers to copy signatures and other referrers",
  "--digest-tags": "use --referrers to copy signatures and other referrers",
  "--override-arch": platform,
  "--override-os": platform,
  "--arch": platform,
  "--os": platform,
  "--load": "use `ocibundle pull REF --image docker-daemon:NAME:TAG`",
  "--push": "use `ocibundle push REF`",
};

/** What to type in the place of another tool's flag, or undefined where it is none that is known. */
export const familiarFlag = (typed: string): string | undefined => {
  const name = typed.split("=", 1)[0] ?? typed;
  return Object.hasOwn(familiar, name) ? familiar[name] : undefined;
};

const copy = "use `ocibundle copy SRC DST`";
const inspect = "use `ocibundle inspect REF`";
const credentials = "use `ocibundle login HOST` and `ocibundle logout HOST`";

/** Commands of docker, hf, oras, crane, regctl and skopeo, and what does the same here. */
const familiarCommands: Readonly<Record<string, string>> = {
  add: "use `ocibundle lock ./weights`, then `ocibundle push REF`",
  append: "use `ocibundle push REF --image SRC --weights DIR`",
  artifact: "use `ocibundle push REF --weights DIR` and `ocibundle pull REF`",
  auth: credentials,
  blob: "use `ocibundle inspect REF --json` to see the blobs",
  catalog: "use `ocibundle ls HOST` to list repositories",
  config: `${inspect} --json`,
  cp: copy,
  clone: "use `ocibundle pull REF -o DIR`",
  digest: "use `ocibundle inspect REF --json`, which includes the digest",
  discover: "use `ocibundle referrers REF` to list the artifacts that refer to a model",
  download: "use `ocibundle pull REF -o DIR`",
  export: "use `ocibundle copy REF oci-archive:FILE`",
  get: "use `ocibundle pull REF -o DIR`",
  hash: "use `ocibundle lock ./weights`",
  image: "use `ocibundle push REF --image SRC` and `ocibundle pull REF --image TARGET`",
  images: "use `ocibundle cache ls` to list cached blobs",
  import: "use `ocibundle push REF --image docker-archive:FILE`",
  index: inspect,
  info: inspect,
  list: "use `ocibundle ls REPO` to list tags, `ocibundle cache ls` to list cached blobs",
  load: "use `ocibundle pull REF --image docker-daemon:NAME:TAG`",
  manifest: "use `ocibundle inspect REF --raw`",
  mirror: copy,
  mv: copy,
  pack: "use `ocibundle build -o oci:DIR`",
  ping: "use `ocibundle doctor REF`",
  put: "use `ocibundle push REF`",
  repo: "use `ocibundle ls REPO` to list tags",
  resolve: "use `ocibundle inspect REF --json`, which includes the digest",
  save: "use `ocibundle copy REF oci-archive:FILE`",
  scan: "use `ocibundle cache ls` to list cached blobs",
  show: inspect,
  sync: copy,
  tags: "use `ocibundle ls REPO` to list tags",
  upload: "use `ocibundle push REF --weights DIR`",
  validate: "use `ocibundle verify SRC`",
  version: "did you mean `ocibundle --version`?",
};

/** What to type in the place of another tool's command, or undefined where it is none that is known. */
export const familiarCommand = (typed: string): string | undefined =>
  Object.hasOwn(familiarCommands, typed) ? familiarCommands[typed] : undefined;
