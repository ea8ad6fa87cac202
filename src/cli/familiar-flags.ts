import { valueHint } from "./value-hint.ts";
import type { Flag } from "./tokens.ts";

/** What to type instead. It applies where the command has the flags that it names outside of code. */
interface Hint {
  text: string;
  /** The only commands that it applies to. */
  of?: readonly string[];
}

const tls = "use --insecure to skip certificate verification, or --plain-http to use HTTP";
const login = "log in once with `ocibundle login HOST`";
const password = "use --password-stdin: flags are visible in process lists";
const layout = "name a layout as oci:DIR[:TAG], an archive as oci-archive:FILE[:TAG]";
const only = "use `ocibundle pull --only GLOB`, or `ocibundle lock PATH` for the files to include";
const automatic: Hint = { text: "omit it: this is always done", of: ["push", "pull", "copy"] };
const tag = "write the tag into the reference, as registry.example.com/acme/llama:v1";
const platform = "use --platform OS/ARCH";
const cache = "set OCIBUNDLE_CACHE to the cache directory";

const everyPlatform: Hint = {
  text: "omit it: all platforms are copied unless --platform is given",
  of: ["copy"],
};
const referrers = "use --referrers to copy signatures and other referrers";
const output = "use -o DIR";
const credentialsFile = "set REGISTRY_AUTH_FILE to the credentials file";

/** Weights in parts have flags where they are written; a reader takes them as they are. */
const anyLayout: Hint = {
  text: "omit it: weights in parts are read like any others",
  of: ["pull", "inspect", "verify", "diff", "serve"],
};

/** Flags of docker, hf, oras, crane, regctl, skopeo and other commands, and what does the same: the first that applies. */
const familiar: Readonly<Record<string, string | Hint | readonly (string | Hint)[]>> = {
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
  "--authfile": credentialsFile,
  "--src-authfile": credentialsFile,
  "--dest-authfile": credentialsFile,
  "--registry-config": "set DOCKER_CONFIG to the directory of config.json",
  "--password": [password, login],
  "-p": [password, login],
  "-t": tag,
  "--tag": tag,
  "--revision": tag,
  "--local-dir": output,
  "--output-dir": output,
  "--dir": output,
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
  "--preserve-digests": { text: "omit it: `copy` never changes manifests", of: ["copy"] },
  "--oci-layout": layout,
  "--to-oci-layout": layout,
  "--from-oci-layout": layout,
  "--all": everyPlatform,
  "-a": everyPlatform,
  "--multi-arch": everyPlatform,
  "--recursive": referrers,
  "-r": referrers,
  "--digest-tags": referrers,
  "--override-arch": platform,
  "--override-os": platform,
  "--arch": platform,
  "--os": platform,
  "--load": "use `ocibundle pull REF --image docker-daemon:NAME:TAG`",
  "--push": "use `ocibundle push REF`",
  "--parts": anyLayout,
  "--layout": [anyLayout, { text: "use --parts", of: ["lock"] }],
  "--plain": [
    anyLayout,
    { text: "use --layout bundle to store files whole", of: ["push", "build"] },
  ],
  "--lock": { text: "use -o FILE", of: ["lock"] },
  "--seed": {
    text: "use --base REF to share parts with another version",
    of: ["push"],
  },
};

/** The command that an unknown flag was typed for. */
export interface FlagPlace {
  /** As typed: `copy`, `cache ls`. Undefined before any command. */
  command: string | undefined;
  flags: ReadonlyMap<string, Flag>;
}

/** What to type in the place of another tool's flag, or undefined where that is not known, or the command has none. */
export function familiarFlag(typed: string, place: FlagPlace): string | undefined {
  const name = typed.split("=", 1)[0] ?? typed;
  if (!Object.hasOwn(familiar, name)) return undefined;
  const hints = [familiar[name] ?? []].flat();
  return hints
    .map((hint) => (typeof hint === "string" ? { text: hint } : hint))
    .find((hint) => applies(hint, place))?.text;
}

function applies({ text, of }: Hint, { command, flags }: FlagPlace): boolean {
  if (command === undefined) return true;
  if (of !== undefined && !of.includes(command)) return false;
  return namesKnown(text, flags);
}

/** A flag, with the value that it is shown with: `-o DIR`. */
const flagInText = /(?<![\w-])(?:--(?<long>[a-z][a-z-]*)|-(?<short>[a-z]))(?: (?<value>[A-Z/]+))?/g;

/** Whether all flags that a hint names outside of code are among these. */
function namesKnown(text: string, flags: ReadonlyMap<string, Flag>): boolean {
  return [...text.replaceAll(/`[^`]*`/g, "").matchAll(flagInText)].every(({ groups }) => {
    const { long, short, value } = groups ?? {};
    const flag = [...flags.values()].find(({ name, definition }) =>
      long === undefined ? definition.alias === short : name === long,
    );
    return flag !== undefined && (value === undefined || valueHint(flag) === value);
  });
}

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
