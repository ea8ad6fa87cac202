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
]);

const struck = "***";
const credentialNames =
  "authorization|proxy-authorization|cookie|set-cookie|access_?token|refresh_?token|identity_?token|id_?token|registry_?token|token|password|passwd|secret|api_?key|auth";

/**
 * Strikes out what looks like a secret: the user part of URLs, values of query parameters (signed URLs,
 * sessions), Authorization and cookies, tokens by their usual shapes. The last line of defence for
 * everything that goes to standard error; whoever writes a message leaves secrets out in the first place.
 */
export function redact(text: string): string {
  return text
    .replaceAll(/(\b[a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/?#"'<>]*@/gi, `$1${struck}@`)
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
