import { describe, expect, test } from "bun:test";
import { OcibundleError } from "../../../../src/errors.ts";
import { authorize } from "../../../../src/http/auth/authorize.ts";
import type { Credential } from "../../../../src/http/auth/credential.ts";
import { repositoryScope } from "../../../../src/http/message/scope.ts";
import type { HttpRequest } from "../../../../src/http/message/message.ts";
import { followRedirects } from "../../../../src/http/redirect.ts";
import {
  bottom,
  get,
  recordedClock,
  type ScriptedServer,
  serve,
  type SeenRequest,
} from "../../../support/registry/scripted-server.ts";
import { errorOf } from "../../../support/failure.ts";

const pull = repositoryScope("acme/llama", "pull");
const push = repositoryScope("acme/llama", "pull", "push");
const password: Credential = { kind: "password", username: "ada", password: "s3cret" };

function client(server: ScriptedServer, credential?: Credential, plainHttp = false) {
  const clock = recordedClock();
  const looked: (string | undefined)[] = [];
  const send = authorize(followRedirects(bottom()), {
    host: "registry.test",
    url: new URL(`${server.origin}/v2/`),
    plainHttp,
    now: clock.now,
    credentials(_, repository) {
      looked.push(repository);
      return Promise.resolve(credential);
    },
  });
  const ask = async (more: Partial<HttpRequest> & { path?: string } = {}) => {
    const { path = "/v2/acme/llama/tags/list", ...request } = more;
    const response = await send(
      get(server.origin + path, { scopes: [pull], repository: "acme/llama", ...request }),
    );
    await response.body?.cancel();
    return response.status;
  };
  return { send, ask, clock, looked };
}

const challenge = (value: string): Response =>
  new Response("{}", { status: 401, headers: { "www-authenticate": value } });
const basicOf = ({ headers }: SeenRequest): string | null => headers.get("authorization");

/** A registry with its token server: takes the token it gave last. */
function tokenRegistry(
  token: (request: SeenRequest, count: number) => Response,
  scope = "repository:acme/llama:pull",
): ScriptedServer & { tokens: SeenRequest[]; forget(): void } {
  const tokens: SeenRequest[] = [];
  let valid = "";
  const server = serve(async (request) => {
    if (request.path.startsWith("/token")) {
      tokens.push(request);
      const answer = token(request, tokens.length);
      const document: unknown = await answer
        .clone()
        .json()
        .catch(() => ({}));
      const { token: given, access_token: access } = document as Record<string, unknown>;
      valid = String(given ?? access);
      return answer;
    }
    if (request.headers.get("authorization") === `Bearer ${valid}`) return new Response("ok");
    return challenge(
      `Bearer realm="${server.origin}/token?flavour=1",service="registry.test",scope="${scope}"`,
    );
  });
  return {
    ...server,
    tokens,
    forget() {
      valid = "";
    },
  };
}

describe("the first request", () => {
  test("is anonymous, and nobody looks for credentials when it is answered", async () => {
    await using server = serve(() => new Response("ok"));
    const { ask, looked } = client(server, password);
    expect(await ask()).toBe(200);
    expect(server.seen.map(basicOf)).toEqual([null]);
    expect(looked).toEqual([]);
  });

  test("is answered with 401 when the registry does not say what would help", async () => {
    await using server = serve(() => new Response("", { status: 401 }));
    expect(await client(server, password).ask()).toBe(401);
    expect(server.seen).toHaveLength(1);
  });
});

/** A registry that takes Ada's password. */
const guarded = () =>
  serve((request) =>
    basicOf(request) === `Basic ${btoa("ada:s3cret")}`
      ? new Response("ok")
      : challenge('Basic realm="x"'),
  );

test("a login of another kind is named, and nobody looks for credentials", async () => {
  await using server = serve(() => challenge('Negotiate, NTLM, Digest realm="x"'));
  const { ask, looked } = client(server, password);
  const failure = await errorOf(ask());
  expect(failure).toMatchObject({ code: "denied" });
  expect(failure.message).toContain("requires authentication by negotiate, ntlm, digest; only");
  expect(looked).toEqual([]);
});

describe("Basic", () => {
  test("is answered, and from then on sent at once", async () => {
    await using server = guarded();
    const { ask, looked } = client(server, password);
    expect(await ask()).toBe(200);
    expect(await ask()).toBe(200);
    expect(server.seen).toHaveLength(3);
    expect(looked).toEqual(["acme/llama"]);
  });

  test("is a 401 without credentials, and with wrong ones, which are sent once", async () => {
    await using server = guarded();
    expect(await client(server).ask()).toBe(401);
    expect(server.seen).toHaveLength(1);
    const wrong: Credential = { kind: "password", username: "ada", password: "other" };
    expect(await client(server, wrong).ask()).toBe(401);
    expect(server.seen).toHaveLength(3);
  });
});

describe("Bearer", () => {
  test("an anonymous token is asked for with the scope, and used", async () => {
    await using server = tokenRegistry(() => Response.json({ token: "t1" }));
    const { ask } = client(server);
    expect(await ask()).toBe(200);
    const [asked] = server.tokens;
    const query = new URL(asked?.path ?? "", server.origin).searchParams;
    expect(query.get("flavour")).toBe("1");
    expect(query.get("service")).toBe("registry.test");
    expect(query.getAll("scope")).toEqual(["repository:acme/llama:pull"]);
    expect(asked?.headers.get("authorization")).toBeNull();
  });

  test("a password goes to the token server only", async () => {
    await using server = tokenRegistry(() => Response.json({ access_token: "t1" }));
    const { ask } = client(server, password);
    expect(await ask()).toBe(200);
    expect(server.tokens.map(basicOf)).toEqual([`Basic ${btoa("ada:s3cret")}`]);
    const sent = server.seen.filter(({ path }) => !path.startsWith("/token")).map(basicOf);
    expect(sent).toEqual([null, "Bearer t1"]);
  });

  test("a body is not sent in vain once the registry's demand is known", async () => {
    await using server = tokenRegistry((_, count) => Response.json({ token: `t${count}` }));
    const { ask } = client(server, password);
    await ask();
    const body = { size: 3, make: () => Promise.resolve(new Blob(["abc"])) };
    await ask({ method: "PATCH", body, scopes: [push] });
    const patches = server.seen.filter(({ method }) => method === "PATCH");
    expect(patches.map(basicOf)).toEqual(["Bearer t2"]);
    expect(server.tokens[1]?.path).toContain("pull%2Cpush");
  });

  test("a token that ends in the middle of a transfer is replaced, the body made again", async () => {
    await using server = tokenRegistry((_, count) => Response.json({ token: `t${count}` }));
    const { ask } = client(server, password);
    await ask({ scopes: [push] });
    server.forget();
    let made = 0;
    const make = () => {
      made++;
      return Promise.resolve(new Blob(["abc"]));
    };
    expect(await ask({ method: "PATCH", body: { size: 3, make }, scopes: [push] })).toBe(200);
    expect(made).toBe(2);
    expect(server.tokens).toHaveLength(2);
  });

  test("many requests at once make one token request, at the start and after its end", async () => {
    await using server = tokenRegistry((_, count) => Response.json({ token: `t${count}` }));
    const { ask } = client(server, password);
    const many = () => Promise.all(Array.from({ length: 20 }, () => ask()));
    expect(new Set(await many())).toEqual(new Set([200]));
    expect(server.tokens).toHaveLength(1);
    server.forget();
    expect(new Set(await many())).toEqual(new Set([200]));
    expect(server.tokens).toHaveLength(2);
  });

  test("a token is fetched anew before it ends", async () => {
    await using server = tokenRegistry((_, count) =>
      Response.json({ token: `t${count}`, expires_in: 300 }),
    );
    const { ask, clock } = client(server);
    await ask();
    clock.advance(275_000);
    expect(await ask()).toBe(200);
    expect(server.tokens).toHaveLength(2);
    expect(server.seen.at(-1)?.headers.get("authorization")).toBe("Bearer t2");
    expect(server.seen.filter(({ path }) => path.startsWith("/v2/"))).toHaveLength(3);
  });

  test("what the challenge asks for is added to what the request needs, per repository", async () => {
    await using server = tokenRegistry(
      () => Response.json({ token: "t1" }),
      "repository:acme/llama:delete repository:other:pull",
    );
    await client(server).ask();
    const query = new URL(server.tokens[0]?.path ?? "", server.origin).searchParams;
    expect(query.getAll("scope")).toEqual([
      "repository:acme/llama:delete,pull",
      "repository:other:pull",
    ]);
  });

  test("a refresh token is exchanged by POST, out of the URL", async () => {
    await using server = tokenRegistry(() => Response.json({ access_token: "t1" }));
    const { ask } = client(server, { kind: "refresh", token: "r3fresh" });
    expect(await ask()).toBe(200);
    const [asked] = server.tokens;
    expect(asked?.method).toBe("POST");
    expect(asked?.path).not.toContain("r3fresh");
    expect(Object.fromEntries(new URLSearchParams(new TextDecoder().decode(asked?.body)))).toEqual({
      grant_type: "refresh_token",
      client_id: "ocibundle",
      service: "registry.test",
      scope: "repository:acme/llama:pull",
      refresh_token: "r3fresh",
    });
  });

  test("a token server without POST is asked by GET", async () => {
    await using server = tokenRegistry(({ method }) =>
      method === "POST" ? new Response("", { status: 404 }) : Response.json({ token: "t1" }),
    );
    const { ask } = client(server, { kind: "refresh", token: "r", username: "ada" });
    expect(await ask()).toBe(200);
    expect(server.tokens.map(({ method }) => method)).toEqual(["POST", "GET"]);
    expect(server.tokens[1]?.headers.get("authorization")).toBe(`Basic ${btoa("ada:r")}`);
  });

  test("a bearer token that was given is used as it is", async () => {
    await using server = serve((request) =>
      basicOf(request) === "Bearer given" ? new Response() : challenge('Bearer realm="https://x/"'),
    );
    expect(await client(server, { kind: "bearer", token: "given" }).ask()).toBe(200);
  });

  test("where both are offered and the realm can't be used, Basic is", async () => {
    await using server = serve((request) =>
      basicOf(request)?.startsWith("Basic ") === true
        ? new Response("ok")
        : challenge('Bearer realm="ftp://x", Basic realm="y"'),
    );
    expect(await client(server, password).ask()).toBe(200);
  });
});

describe("a token server that is none", () => {
  test.each([
    ["an HTML page", () => new Response("<html>", { headers: { "content-type": "text/html" } })],
    ["nothing", () => new Response("")],
    ["no token", () => Response.json({ hello: 1 })],
    ["a token with a line break", () => Response.json({ token: "a\nb" })],
    ["numbers", () => Response.json({ token: 1 })],
    ["two megabytes", () => new Response(`{"token":"${"x".repeat(2_000_000)}"}`)],
  ])("answers with %s", async (_, answer) => {
    await using server = tokenRegistry(answer);
    const failure = await errorOf(client(server).ask());
    expect(failure).toMatchObject({ code: "network" });
    expect(failure.message).toContain("registry.test: token server 127.0.0.1");
    expect(failure.message).toContain("an invalid token");
  });

  test.each([401, 403, 400])("that refuses with %d is a matter of access", async (status) => {
    await using server = tokenRegistry(() => new Response("no s3cret", { status }));
    const failure = await errorOf(client(server, password).ask());
    expect(failure).toMatchObject({ code: "denied" });
    expect((failure as OcibundleError).hint).toContain("ocibundle login registry.test");
    expect(failure.message).not.toContain("s3cret");
  });
});

describe("nothing is given away", () => {
  test.each(["http://auth.example.com/token", "ftp://x/", "https://u:p@x/", "nonsense", ""])(
    "a realm of %p is refused before anything is sent to it",
    async (realm) => {
      await using server = serve(() => challenge(`Bearer realm="${realm}"`));
      const failure = await errorOf(client(server, password).ask());
      expect(failure).toMatchObject({ code: "network" });
      expect(failure.message).toContain("invalid token server");
    },
  );

  test("the 401 of another origin is no challenge", async () => {
    await using other = serve(() => challenge('Basic realm="give me"'));
    await using server = serve(
      () => new Response("", { status: 307, headers: { location: `${other.origin}/blob` } }),
    );
    expect(await client(server, password).ask()).toBe(401);
    expect(other.seen.map(basicOf)).toEqual([null]);
  });

  test.each([307, 308])(
    "a refresh token is not sent on where its server redirects (%d)",
    async (status) => {
      await using other = serve(() => Response.json({ token: "theirs" }));
      await using tokens = serve(
        () => new Response("", { status, headers: { location: `${other.origin}/token` } }),
      );
      await using server = serve(() => challenge(`Bearer realm="${tokens.origin}/token"`));
      const failure = await errorOf(
        client(server, { kind: "refresh", token: "r3fresh", username: "ada" }).ask(),
      );
      expect(failure).toMatchObject({ code: "network" });
      expect(failure.message).toContain(`redirected a login to another host, ${other.host}`);
      expect(other.seen).toEqual([]);
    },
  );

  test("a token server may have its refresh tokens at another path", async () => {
    await using tokens = serve(({ path }) =>
      path === "/token"
        ? new Response("", { status: 307, headers: { location: "/oauth2" } })
        : Response.json({ token: "t1" }),
    );
    await using server = serve((request) =>
      basicOf(request) === "Bearer t1"
        ? new Response("ok")
        : challenge(`Bearer realm="${tokens.origin}/token"`),
    );
    expect(await client(server, { kind: "refresh", token: "r" }).ask()).toBe(200);
  });

  test("a request to another origin carries nothing", async () => {
    await using other = serve(() => challenge('Basic realm="give me"'));
    await using server = serve((request) =>
      basicOf(request) === null ? challenge('Basic realm="x"') : new Response(),
    );
    const { ask, send } = client(server, password);
    expect(await ask()).toBe(200);
    expect((await send(get(`${other.origin}/upload`, { scopes: [push] }))).status).toBe(401);
    expect(other.seen.map(basicOf)).toEqual([null]);
  });
});

const isBasic = (request: SeenRequest): boolean => basicOf(request)?.startsWith("Basic ") === true;

/** Answers with a status to who has no login, and at /v2/ with a challenge. */
const hiding = (status: number, base: () => Response, isKnown: (request: SeenRequest) => boolean) =>
  serve((request) => {
    if (isKnown(request)) return new Response("ok");
    return request.path === "/v2/" ? base() : new Response("{}", { status });
  });

describe("a registry that hides what needs a login, and asks for one at its base alone", () => {
  test.each([404, 403, 400, 405])("is sent what is known after %d", async (status) => {
    await using server = hiding(status, () => challenge('Basic realm="x"'), isBasic);
    const { ask } = client(server, password);
    expect([await ask(), await ask()]).toEqual([200, 200]);
    expect(server.seen.map(({ path }) => path)).toEqual([
      "/v2/acme/llama/tags/list",
      "/v2/",
      "/v2/acme/llama/tags/list",
      "/v2/acme/llama/tags/list",
    ]);
  });

  test("is sent the token that anybody may have", async () => {
    await using tokens = serve(() => Response.json({ token: "t1" }));
    await using server = hiding(
      404,
      () => challenge(`Bearer realm="${tokens.origin}/token"`),
      (request) => basicOf(request) === "Bearer t1",
    );
    expect(await client(server).ask()).toBe(200);
  });

  test("is believed where nothing is known, and asked once at its base", async () => {
    await using tokens = serve(() => new Response("", { status: 401 }));
    await using server = hiding(
      404,
      () => challenge(`Bearer realm="${tokens.origin}/token"`),
      () => false,
    );
    const { ask } = client(server);
    expect([await ask(), await ask()]).toEqual([404, 404]);
    expect(server.seen.filter(({ path }) => path === "/v2/")).toHaveLength(1);
  });

  test.each([
    ["no challenge", () => new Response("{}")],
    ["an error", () => new Response("", { status: 500 })],
  ])("is believed where its base answers with %s", async (_, base) => {
    await using server = hiding(404, base, isBasic);
    const { ask, looked } = client(server, password);
    expect([await ask(), await ask()]).toEqual([404, 404]);
    expect(looked).toEqual([]);
    expect(server.seen.filter(({ path }) => path === "/v2/")).toHaveLength(1);
  });
});

const leading = (to: string) =>
  serve(({ path }) => new Response("", { status: 307, headers: { location: to + path } }));

describe("a registry that leads to another one", () => {
  test("which gives anybody a token is read with it, and gets no login", async () => {
    await using other = tokenRegistry(() => Response.json({ token: "anybody" }));
    await using server = leading(other.origin);
    const { ask, looked } = client(server, password);
    expect(await ask()).toBe(200);
    expect(await ask({ method: "HEAD" })).toBe(200);
    expect(other.tokens.map(basicOf)).toEqual([null]);
    expect(looked).toEqual([]);
    expect(other.seen.map(basicOf).filter((value) => value?.startsWith("Basic "))).toEqual([]);
  });

  test("whose token server wants a login stays closed", async () => {
    await using other = tokenRegistry(() => new Response("", { status: 401 }));
    await using server = leading(other.origin);
    expect(await client(server, password).ask()).toBe(401);
  });
});

describe("what token servers answer", () => {
  test.each([
    [{ access_token: "t1" }],
    [{ token: "", access_token: "t1" }],
    [{ token: null, access_token: "t1" }],
    [{ token: 7, access_token: "t1" }],
    [{ token: "t1", access_token: null, refresh_token: null, expires_in: null }],
    [{ token: "t1", expires_in: "3600" }],
    [{ token: "t1", expires_in: -1 }],
    [{ token: "t1", expires_in: 1e300 }],
    [{ token: "t1", expires_in: {} }],
    [{ token: "t1", refresh_token: 7 }],
    [{ Token: "t1", Expires_In: 300 }],
    [{ Access_Token: "t1" }],
    [{ TOKEN: "t2", token: "t1" }],
  ])("%j is a token", async (document) => {
    await using tokens = serve(() => Response.json(document));
    await using server = serve((request) =>
      basicOf(request) === "Bearer t1"
        ? new Response("ok")
        : challenge(`Bearer realm="${tokens.origin}/token"`),
    );
    expect(await client(server).ask()).toBe(200);
  });
});

test("a login is looked up again after a while: helpers give some that end after hours", async () => {
  await using server = serve(({ headers }) =>
    headers.get("authorization") === null ? challenge('Basic realm="x"') : new Response(),
  );
  const { ask, looked, clock } = client(server, password);
  await ask();
  await ask();
  expect(looked).toHaveLength(1);
  clock.advance(600_000);
  expect(await ask()).toBe(200);
  expect(looked).toHaveLength(2);
});
