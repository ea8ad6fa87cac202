import type { CredentialOptions, CredentialProvider } from "./credential.ts";
import { roleAnswer, roleRequest, roleUrl, unreadableAnswer } from "./role-request.ts";

const name = "the instance's metadata service";
const tokenLifetimeSeconds = 21_600;

/**
 * The role of the virtual machine (IMDSv2), only where `OCIBUNDLE_S3_INSTANCE_ROLE` asks for it: elsewhere a
 * request to a link-local address would wait for nobody, or for whoever answers there.
 */
export const instanceRole: CredentialProvider = async (options, signal) => {
  const { env } = options;
  if (!/^(?:1|on|yes|true)$/i.test(env["OCIBUNDLE_S3_INSTANCE_ROLE"] ?? "")) return undefined;
  const variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
  const root = env[variable] || "http://169.254.169.254";
  roleUrl(root, variable);
  const token = await ask(options, signal, root, "/latest/api/token", {
    "x-aws-ec2-metadata-token-ttl-seconds": String(tokenLifetimeSeconds),
  });
  if (!/^[\x21-\x7e]+$/.test(token.trim())) throw unreadableAnswer(name);
  const headers = { "x-aws-ec2-metadata-token": token.trim() };
  const path = "/latest/meta-data/iam/security-credentials/";
  const [role = ""] = (await ask(options, signal, root, path, headers)).trim().split(/\s/);
  const answer = await ask(options, signal, root, `${path}${encodeURIComponent(role)}`, headers);
  return roleAnswer(new TextEncoder().encode(answer), name);
};

async function ask(
  options: CredentialOptions,
  signal: AbortSignal,
  root: string,
  path: string,
  headers: Record<string, string>,
): Promise<string> {
  const method = path.endsWith("/token") ? "PUT" : "GET";
  const url = new URL(`${root.replace(/\/+$/, "")}${path}`);
  const hint = "unset OCIBUNDLE_S3_INSTANCE_ROLE if the machine has no role";
  const bytes = await roleRequest({ method, url, headers, name, hint }, options, signal);
  return new TextDecoder().decode(bytes);
}
