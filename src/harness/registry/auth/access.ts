import { parseRoute, type Route } from "../routes/route.ts";

/** What may be done with a repository, or with the catalogue (distribution, token scopes). */
export interface Access {
  type: string;
  name: string;
  actions: readonly string[];
}

/** Reads `repository:acme/llama:pull,push`; undefined where the text is no scope. A name may hold a port's colon. */
export function parseScope(text: string): Access | undefined {
  const match = /^([a-z]+(?:\([a-z]+\))?):(.+):([a-z*,]+)$/.exec(text);
  if (match === null) return undefined;
  const [, type = "", name = "", actions = ""] = match;
  return { type, name, actions: actions.split(",").filter((action) => action !== "") };
}

/** The access as the scope of a challenge. */
export const formatScope = ({ type, name, actions }: Access): string =>
  `${type}:${name}:${actions.join(",")}`;

/** What a request needs; undefined for what anyone may do who is let in at all. */
export function neededAccess(request: Request): Access | undefined {
  const route = routeOf(request);
  if (route === undefined || route.resource === "base") return undefined;
  if (route.resource === "catalog") return { type: "registry", name: "catalog", actions: ["*"] };
  return {
    type: "repository",
    name: route.repository,
    actions: actionsFor(route, request.method),
  };
}

function actionsFor(route: Route, method: string): string[] {
  const isUpload = route.resource === "uploads" || route.resource === "upload";
  if (isUpload) return ["pull", "push"];
  if (method === "GET" || method === "HEAD") return ["pull"];
  return method === "DELETE" ? ["delete"] : ["pull", "push"];
}

/** The route of a request; undefined where it has none, or one that is malformed. */
export function routeOf(request: Request): Route | undefined {
  try {
    return parseRoute(new URL(request.url).pathname);
  } catch {
    return undefined;
  }
}

/** Whether what is granted has all of what is needed. */
export const allows = (granted: readonly Access[], needed: Access): boolean =>
  needed.actions.every((action) =>
    granted.some(
      ({ type, name, actions }) =>
        type === needed.type &&
        name === needed.name &&
        (actions.includes(action) || actions.includes("*")),
    ),
  );
