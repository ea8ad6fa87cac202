import { repositoryScope } from "../http/message/scope.ts";
import { readUpTo } from "../http/message/body.ts";
import { maxManifestBytes } from "../oci/document.ts";
import { type Api, apiUrl, request } from "./api.ts";
import { describeRefusal } from "./refusal.ts";
import type { Answer, Question } from "./types.ts";

/** Makes one request and hands back what came of it, whatever its status. */
export async function ask(
  api: Api,
  { method, path, query, headers, body, repositories = [] }: Question,
  signal: AbortSignal,
): Promise<Answer> {
  const [first] = repositories;
  const response = await request(api, {
    method,
    url: apiUrl(api, path, query),
    ...(headers === undefined ? {} : { headers }),
    ...(body === undefined
      ? {}
      : { body: { size: body.byteLength, make: () => Promise.resolve(new Uint8Array(body)) } }),
    ...(first === undefined ? {} : { repository: first.name }),
    scopes: repositories.map(({ name, actions }) => repositoryScope(name, ...actions)),
    repeatable: "asked",
    accept: "any",
    thing: `${method} ${path}`,
    signal,
  });
  const { status } = response;
  const { bytes } = await readUpTo(response, maxManifestBytes);
  const said = status < 400 ? String(status) : describeRefusal(status, bytes, api.strike);
  return { status, headers: response.headers, host: response.url.host, bytes, said };
}
