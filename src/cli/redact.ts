/** Query parameters of the distribution API that hold no secret; the value of any other one is struck out. */
const harmlessParameters = new Set([
  "digest",
  "mount",
  "from",
  "n",
  "last",
  "scope",
  "service",
  "artifactType",
  "platform",
  "repo",
  "tag",
  "quiet",
]);

const struck = "***";

/** What our own hints have in the place of a login. */
const placeholders = new Set(["USER:PASSWORD", "USER:PASS"]);

const sources = "(?:docker|oci|oci-archive|docker-archive|docker-daemon|dir|hf|s3)";

/**
 * `USER:PASSWORD@HOST` without a scheme, as somebody types it in the place of a registry. A tag in front of a
 * digest looks the same but for what follows the @. A password with a slash in it needs a host behind it.
 */
const typedLogin = new RegExp(
  String.raw`(?<![\w.%+~:/@-])(${sources}:)?` +
    String.raw`(?!${sources}:)([\w.%+~-]{1,128}):(?!\/\/)` +
    String.raw`([^\s"'<>/\\]{1,256}|[^\s"'<>]{1,256}(?=@(?:localhost|[\w-]{1,63}\.[\w.-]{1,63}|[\w-]{1,63}:\d)))` +
    String.raw`@(?!sha\d|[a-z0-9]{1,20}(?:[+._-][a-z0-9]{1,20}){0,4}:[0-9a-f]{16})`,
  "g",
);
const credentialNames =
  "authorization|proxy-authorization|cookie|set-cookie|access_?token|refresh_?token|identity_?token|id_?token|registry_?token|token|password|passwd|secret|api_?key|auth";

/**
 * Strikes out what looks like a secret: the user part of URLs, values of query parameters (signed URLs,
 * sessions), Authorization and cookies, tokens by their usual shapes. The last line of defence for
 * everything that goes to standard error; whoever writes a message leaves secrets out in the first place.
 */
export function redact(text: string): string {
  return text
    .replaceAll(
      /(\b[a-z][a-z0-9+.-]{0,20}:\/\/)([^\s/?#"'<>]*)@/gi,
      (whole, start: string, user: string) =>
        placeholders.has(user) ? whole : `${start}${struck}@`,
    )
    .replaceAll(typedLogin, (whole, source: string | undefined, user: string, password: string) =>
      placeholders.has(`${user}:${password}`) ? whole : `${source ?? ""}${user}:${struck}@`,
    )
    .replaceAll(/([?&])([\w.~%-]+)=([^&\s"'<>#`]+)/g, (whole, mark: string, name: string) =>
      harmlessParameters.has(name) ? whole : `${mark}${name}=${struck}`,
    )
    .replaceAll(
      /\b((?:proxy-)?authorization|(?:set-)?cookie)(\s*:\s*)[^\r\n"']+/gi,
      `$1$2${struck}`,
    )
    .replaceAll(
      new RegExp(String.raw`(["']?\b(?:${credentialNames})["']?\s*[:=]\s*)(["'])[^"']*\2`, "gi"),
      `$1$2${struck}$2`,
    )
    .replaceAll(
      new RegExp(String.raw`\b(${credentialNames})=(?!["'])[^&\s"'<>#,;]+`, "gi"),
      `$1=${struck}`,
    )
    .replaceAll(
      /\b([Bb]earer|[Bb]asic)\s+(?!realm=)(?=\S*[A-Z0-9=]|\S{20})[\w.~+/=-]{6,}/g,
      `$1 ${struck}`,
    )
    .replaceAll(/(?<![\w-])eyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?/g, struck)
    .replaceAll(
      /\b(?:gh[a-z]_[A-Za-z0-9]{16,}|github_pat_\w{16,}|glpat-[\w-]{16,}|dckr_[a-z]+_[\w-]{16,}|hf_[A-Za-z0-9]{16,}|(?:AKIA|ASIA)[A-Z0-9]{16})/g,
      struck,
    );
}
