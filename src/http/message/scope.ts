/** What a token allows on one resource (distribution, docs/spec/auth/scope.md). */
export interface Scope {
  /** `repository`, `registry`; with a class as `repository(plugin)`. */
  type: string;
  name: string;
  actions: readonly string[];
}

/** The scope for actions on one repository. */
export const repositoryScope = (
  name: string,
  ...actions: readonly ("pull" | "push" | "delete")[]
): Scope => ({
  type: "repository",
  name,
  actions,
});

/**
 * Reads the space-separated scopes of a challenge. A name may hold colons (a host with its port), so
 * the type ends at the first and the actions start after the last. What is no scope is left out: it
 * is data from a stranger, and a token without it is at worst refused.
 */
export function parseScopes(text: string): Scope[] {
  return text
    .split(" ")
    .map(parseScope)
    .filter((scope) => scope !== undefined);
}

function parseScope(text: string): Scope | undefined {
  const first = text.indexOf(":");
  const last = text.lastIndexOf(":");
  if (first <= 0 || last <= first + 1) return undefined;
  const actions = text
    .slice(last + 1)
    .split(",")
    .filter((action) => action !== "");
  return actions.length === 0
    ? undefined
    : { type: text.slice(0, first), name: text.slice(first + 1, last), actions };
}

/** A scope as it is sent to a realm: `repository:acme/llama:pull,push`. */
export const formatScope = (scope: Scope): string =>
  `${scope.type}:${scope.name}:${scope.actions.join(",")}`;

/** One scope per resource with all its actions, in one order: equal sets give equal lists. */
export function joinScopes(scopes: readonly Scope[]): Scope[] {
  const byResource = new Map<string, { type: string; name: string; actions: Set<string> }>();
  for (const { type, name, actions } of scopes) {
    const key = `${type}:${name}`;
    const known = byResource.get(key) ?? { type, name, actions: new Set<string>() };
    for (const action of actions) known.actions.add(action);
    byResource.set(key, known);
  }
  return [...byResource.entries()]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([, { type, name, actions }]) => ({ type, name, actions: orderActions(actions) }));
}

// Servers that compare scopes as text expect "pull,push"; sorting gives delete,pull,push.
const orderActions = (actions: ReadonlySet<string>): string[] =>
  actions.has("*") ? ["*"] : [...actions].toSorted();

/** Whether a token for `granted` is enough for `wanted`. */
export const coversScopes = (granted: readonly Scope[], wanted: readonly Scope[]): boolean =>
  wanted.every((want) =>
    granted.some(
      (have) =>
        have.type === want.type &&
        have.name === want.name &&
        (have.actions.includes("*") ||
          want.actions.every((action) => have.actions.includes(action))),
    ),
  );
