import { OcibundleError } from "../errors.ts";
import { isLoopback } from "../http/message/loopback.ts";
import type { CredentialProvider } from "./credential.ts";
import { amazonDomain } from "./endpoint.ts";
import { expiring, roleRequest, tokenIn, unreadableAnswer } from "./role-request.ts";
import { readXml, type XmlNode } from "./xml.ts";

const name = "the role of AWS_ROLE_ARN";

/** A role that is given for a token of another identity provider, such as that of a Kubernetes service account. */
export const webIdentity: CredentialProvider = async (options, signal) => {
  const { env, region } = options;
  const [path, role] = [env["AWS_WEB_IDENTITY_TOKEN_FILE"], env["AWS_ROLE_ARN"]];
  if (!path || !role) return undefined;
  const token = await tokenIn(path, "AWS_WEB_IDENTITY_TOKEN_FILE");
  const bytes = await roleRequest(
    {
      method: "POST",
      url: stsUrl(env["AWS_ENDPOINT_URL_STS"], region),
      body: new URLSearchParams({
        Action: "AssumeRoleWithWebIdentity",
        Version: "2011-06-15",
        RoleArn: role,
        RoleSessionName: env["AWS_ROLE_SESSION_NAME"] || "ocibundle",
        WebIdentityToken: token,
      }).toString(),
      name,
      hint: "check AWS_ROLE_ARN, and that the role trusts the token of AWS_WEB_IDENTITY_TOKEN_FILE",
    },
    options,
    signal,
  );
  let credentials: XmlNode | undefined;
  try {
    credentials = readXml(bytes).all("AssumeRoleWithWebIdentityResult")[0]?.all("Credentials")[0];
  } catch {
    credentials = undefined;
  }
  const accessKeyId = credentials?.text("AccessKeyId");
  const secretAccessKey = credentials?.text("SecretAccessKey");
  if (!accessKeyId || !secretAccessKey) throw unreadableAnswer(name);
  const sessionToken = credentials?.text("SessionToken") || undefined;
  const keys = { accessKeyId, secretAccessKey, sessionToken };
  return expiring(keys, credentials?.text("Expiration"), name);
};

function stsUrl(configured: string | undefined, region: string | undefined): URL {
  if (configured) {
    const url = URL.canParse(configured) ? new URL(configured) : undefined;
    if (url?.protocol === "https:" || (url?.protocol === "http:" && isLoopback(url.host))) {
      return url;
    }
    throw new OcibundleError("usage", "AWS_ENDPOINT_URL_STS is not an https URL", {
      hint: "remove it, or set it to a URL that begins with https://",
    });
  }
  const host = region === undefined ? "sts" : `sts.${region}`;
  return new URL(`https://${host}.${amazonDomain(region ?? "")}/`);
}
