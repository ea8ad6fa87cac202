import { describe, expect, test } from "bun:test";
import { basicAuth } from "../../../../src/harness/registry/auth/basic-auth.ts";
import { parseAccount } from "../../../../src/harness/registry/auth/account.ts";
import { layered } from "../../../../src/harness/registry/auth/middleware.ts";
import { readOnly } from "../../../../src/harness/registry/auth/read-only.ts";
import { tokenAuth } from "../../../../src/harness/registry/auth/token-auth.ts";
import { registry } from "../../../support/registry/embedded-client.ts";

const ada = { username: "ada", password: "s3:cret" };
const basic = `Basic ${btoa("ada:s3:cret")}`;

const at = "http://registry.test";
const ask = (path: string, init?: RequestInit): Request => new Request(new URL(path, at), init);
const withHeader = (authorization: string, method = "GET"): RequestInit => ({
  method,
  headers: { authorization },
});

describe("a read-only registry", () => {
  test("answers what is there, and takes nothing", async () => {
    const client = await registry();
    const digest = await client.blob("acme/llama", "weights");
    const handler = layered(client.handler, [readOnly]);
    const blob = `/v2/acme/llama/blobs/${digest}`;
    expect(await (await handler(ask(blob))).text()).toBe("weights");
    for (const [method, path] of [
      ["POST", "/v2/acme/llama/blobs/uploads/"],
      ["PUT", "/v2/acme/llama/manifests/v1"],
      ["DELETE", blob],
    ] as const) {
      const refused = await handler(ask(path, { method }));
      expect(refused.status).toBe(405);
      expect(await client.codes(refused)).toEqual(["DENIED"]);
    }
  });
});

describe("a registry with a password", () => {
  test("lets in who has it, and tells others how to come in", async () => {
    const { handler, codes } = await registry();
    const guarded = layered(handler, [basicAuth(ada)]);
    expect((await guarded(ask("/v2/", withHeader(basic)))).status).toBe(200);
    for (const wrong of [undefined, `Basic ${btoa("ada:s3")}`, "Basic %%%", "Bearer abc"]) {
      const refused = await guarded(ask("/v2/", wrong === undefined ? {} : withHeader(wrong)));
      expect(refused.status).toBe(401);
      expect(refused.headers.get("WWW-Authenticate")).toStartWith('Basic realm="ocibundle"');
      expect(await codes(refused)).toEqual(["UNAUTHORIZED"]);
    }
  });

  test("reads user and password up to the first colon", () => {
    expect(parseAccount("ada:s3:cret")).toEqual(ada);
    for (const wrong of ["", "ada", ":x", "ada:"])
      expect(() => parseAccount(wrong)).toThrow("--auth");
  });
});

const scope = (name: string, actions = "pull,push"): string => `repository:${name}:${actions}`;
const withTokens = async () => {
  const client = await registry();
  let now = 0;
  const guarded = layered(client.handler, [
    tokenAuth({ account: ada, lifetime: 1000, now: () => now }),
  ]);
  const token = async (scopes: string[], init: RequestInit = withHeader(basic)) => {
    const query = new URLSearchParams(scopes.map((one) => ["scope", one]));
    const response = await guarded(ask(`/token?service=ocibundle&${query}`, init));
    return response.status === 200
      ? `Bearer ${((await response.json()) as { token: string }).token}`
      : response.status;
  };
  return { ...client, guarded, token, pass: (milliseconds: number) => (now += milliseconds) };
};

describe("a registry with tokens", () => {
  test("says where tokens are, and for what one is needed", async () => {
    const { guarded } = await withTokens();
    const refused = await guarded(ask("/v2/acme/llama/blobs/uploads/", { method: "POST" }));
    expect(refused.status).toBe(401);
    expect(refused.headers.get("WWW-Authenticate")).toBe(
      `Bearer realm="${at}/token",service="ocibundle",scope="repository:acme/llama:pull,push"`,
    );
    expect((await guarded(ask("/v2/"))).headers.get("WWW-Authenticate")).toBe(
      `Bearer realm="${at}/token",service="ocibundle"`,
    );
  });

  test("lets a token do what it is for, until its time is over", async () => {
    const { guarded, token, pass } = await withTokens();
    const granted = await token([scope("acme/llama", "pull")]);
    const status = async (method: string, path: string) =>
      (await guarded(ask(path, withHeader(String(granted), method)))).status;
    expect(await status("GET", "/v2/")).toBe(200);
    expect(await status("GET", "/v2/acme/llama/tags/list")).toBe(404);
    expect(await status("POST", "/v2/acme/llama/blobs/uploads/")).toBe(401);
    expect(await status("GET", "/v2/acme/other/tags/list")).toBe(401);
    expect(await status("GET", "/v2/_catalog")).toBe(401);
    pass(999);
    expect(await status("GET", "/v2/")).toBe(200);
    pass(1);
    expect(await status("GET", "/v2/")).toBe(401);
  });

  test("gives nobody else a token, and believes none that it did not make", async () => {
    const { guarded, token } = await withTokens();
    expect(await token([], {})).toBe(401);
    expect(await token([], withHeader(`Basic ${btoa("ada:no")}`))).toBe(401);
    const [claims = ""] = String(await token([scope("acme/llama")]))
      .slice("Bearer ".length)
      .split(".");
    for (const forged of ["Bearer x", `Bearer ${claims}.AAAA`, `Bearer ${claims}`]) {
      expect((await guarded(ask("/v2/", withHeader(forged)))).status).toBe(401);
    }
  });

  test("gives tokens for a password and for a refresh token by POST", async () => {
    const { guarded } = await withTokens();
    const post = async (form: Record<string, string>) => {
      const body = new URLSearchParams({ service: "ocibundle", client_id: "test", ...form });
      const response = await guarded(ask("/token", { method: "POST", body }));
      return { status: response.status, body: (await response.json()) as Record<string, string> };
    };
    const first = await post({
      grant_type: "password",
      ...ada,
      access_type: "offline",
      scope: `${scope("acme/a")} ${scope("acme/b")}`,
    });
    const refreshToken = first.body["refresh_token"] ?? "";
    expect(refreshToken).not.toBe("");
    const again = await post({
      grant_type: "refresh_token",
      refresh_token: refreshToken,
      scope: scope("acme/b"),
    });
    for (const { body } of [first, again]) {
      const init = withHeader(`Bearer ${body["access_token"]}`);
      expect((await guarded(ask("/v2/acme/b/tags/list", init))).status).toBe(404);
    }
    expect((await post({ grant_type: "refresh_token", refresh_token: "no" })).status).toBe(401);
    expect((await post({ grant_type: "password", username: "ada", password: "no" })).status).toBe(
      401,
    );
    expect((await post({ grant_type: "other" })).status).toBe(401);
  });

  test("mounts only out of repositories that the token may read", async () => {
    const { guarded, token, blob } = await withTokens();
    const digest = await blob("acme/a", "weights");
    const mount = async (granted: string | number) =>
      (
        await guarded(
          ask(
            `/v2/acme/b/blobs/uploads/?mount=${digest}&from=acme/a`,
            withHeader(String(granted), "POST"),
          ),
        )
      ).status;
    expect(await mount(await token([scope("acme/b")]))).toBe(202);
    expect(await mount(await token([scope("acme/b"), scope("acme/a", "pull")]))).toBe(201);
  });

  test("gives anybody a token where no account is set", async () => {
    const client = await registry();
    const guarded = layered(client.handler, [tokenAuth()]);
    const { token } = (await (await guarded(ask("/token"))).json()) as { token: string };
    expect((await guarded(ask("/v2/"))).status).toBe(401);
    expect((await guarded(ask("/v2/", withHeader(`Bearer ${token}`)))).status).toBe(200);
  });
});

describe("a token server's other tokens", () => {
  test("let nobody in: a refresh token is answered with 401, whatever is put in front of it", async () => {
    const { guarded } = await withTokens();
    const asked = ask("/token?offline_token=true", withHeader(basic));
    const answer = (await (await guarded(asked)).json()) as { refresh_token: string };
    const refresh = answer.refresh_token;
    for (const bearer of [refresh, `refresh.${refresh}`, `${btoa("refresh token")}.${refresh}`]) {
      const refused = await guarded(ask("/v2/", withHeader(`Bearer ${bearer}`)));
      expect(refused.status).toBe(401);
      expect(refused.headers.get("WWW-Authenticate")).toContain('error="invalid_token"');
    }
  });

  test.each(["", "&from=", "&from=acme%2Fsecret", "&from=acme%2Fllama&from=acme%2Fsecret"])(
    "mount nothing of a repository that they are not for (%p)",
    async (from) => {
      const { guarded, token, blob } = await withTokens();
      const digest = await blob("acme/secret", "secret weights");
      const authorization = String(await token([scope("acme/llama")]));
      const post = `/v2/acme/llama/blobs/uploads/?mount=${digest}${from}`;
      const answered = await guarded(ask(post, withHeader(authorization, "POST")));
      expect(answered.status).toBe(202);
      const got = await guarded(ask(`/v2/acme/llama/blobs/${digest}`, withHeader(authorization)));
      expect(got.status).toBe(404);
    },
  );
});
