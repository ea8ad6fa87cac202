import { OcibundleError } from "../errors.ts";
import type { CredentialProvider, Environment } from "./credential.ts";
import { roleAnswer, roleRequest, roleUrl, tokenIn } from "./role-request.ts";

const name = "the container's credentials";

/**
 * The role of a container, as ECS and EKS Pod Identity give it. Throws `usage` for variables that can't be, and as
 * `roleRequest`.
 */
export const containerRole: CredentialProvider = async (options, signal) => {
  const { env } = options;
  const url = addressOf(env);
  if (url === undefined) return undefined;
  const file = env["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"];
  const token = file
    ? await tokenIn(file, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE")
    : env["AWS_CONTAINER_AUTHORIZATION_TOKEN"]?.trim();
  if (token && !/^[\x20-\x7e]+$/.test(token)) {
    throw new OcibundleError("usage", "AWS_CONTAINER_AUTHORIZATION_TOKEN is not a token", {
      hint: "remove control characters from it, such as line ends",
    });
  }
  const bytes = await roleRequest(
    {
      method: "GET",
      url,
      headers: { accept: "application/json", ...(token ? { authorization: token } : {}) },
      name,
      hint: "check the role of the container or the pod",
    },
    options,
    signal,
  );
  return roleAnswer(bytes, name);
};

function addressOf(env: Environment): URL | undefined {
  const relative = env["AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"];
  const full = env["AWS_CONTAINER_CREDENTIALS_FULL_URI"];
  if (!relative && !full) return undefined;
  const text = relative ? `http://169.254.170.2/${relative.replace(/^\//, "")}` : (full ?? "");
  return roleUrl(text, "AWS_CONTAINER_CREDENTIALS_FULL_URI");
}
