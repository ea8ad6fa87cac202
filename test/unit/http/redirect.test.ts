import { describe, expect, test } from "bun:test";
import type { HttpRequest, HttpResponse, Send } from "../../../src/http/message/message.ts";
import { followRedirects } from "../../../src/http/redirect.ts";
import { bottom, get, serve, textOf } from "../../support/registry/scripted-server.ts";
import { errorOf, failureOf } from "../../support/failure.ts";

const send = followRedirects(bottom());
const to = (location: string, status = 307): Response =>
  new Response("moved", { status, headers: { location } });

/** An answer of a server that is not there, for URLs that no test can serve. */
const pretend =
  (location: string): Send =>
  (request: HttpRequest): Promise<HttpResponse> =>
    Promise.resolve({
      status: 302,
      headers: new Headers({ location }),
      body: undefined,
      url: request.url,
    });

describe("redirects", () => {
  test.each([301, 302, 303, 307, 308])("a GET follows %d, relative too", async (status) => {
    await using server = serve(({ path }) =>
      path === "/a/b" ? to("../c?x=1", status) : new Response("here"),
    );
    const response = await send(get(`${server.origin}/a/b`));
    expect(await textOf(response.body)).toBe("here");
    expect(response.url.href).toBe(`${server.origin}/c?x=1`);
  });

  test("a host that is redirected to and can't be reached is named, with the one that redirects", async () => {
    const gone = serve(() => new Response("here"));
    const { host, origin } = new URL(gone.origin);
    await gone[Symbol.asyncDispose]();
    await using server = serve(() => to(`${origin}/blob`));
    const failure = await failureOf(send(get(`${server.origin}/a`)));
    expect(failure.code).toBe("network");
    expect(failure.message).toContain("connection refused");
    const from = new URL(server.origin).host;
    expect(failure.hint).toBe(
      `${from} redirects to ${host}: check that this machine can reach that host, through any firewall or proxy`,
    );
    // Of the first host itself nothing is said of a redirect.
    const direct = await failureOf(send(get(`${origin}/a`)));
    expect(direct.hint).toBe("check that the registry is running and that the port is right");
  });

  test("what authorises stays with its origin", async () => {
    await using other = serve(() => new Response("blob"));
    await using server = serve(({ path }) =>
      path === "/first" ? to("/second") : to(`${other.origin}/blob`),
    );
    const headers = { authorization: "Bearer secret", cookie: "a=b", range: "bytes=0-1" };
    await textOf((await send(get(`${server.origin}/first`, { headers }))).body);
    expect(server.seen.map(({ headers: sent }) => sent.get("authorization"))).toEqual([
      "Bearer secret",
      "Bearer secret",
    ]);
    expect(other.seen[0]?.headers.get("authorization")).toBeNull();
    expect(other.seen[0]?.headers.get("cookie")).toBeNull();
    expect(other.seen[0]?.headers.get("range")).toBe("bytes=0-1");
  });

  test("another port of the same host is another origin, and the way back gives nothing back", async () => {
    await using server = serve(({ path }) =>
      path === "/first" ? to(`${other.origin}/there`) : new Response("back"),
    );
    await using other = serve(() => to(`${server.origin}/back`));
    await textOf(
      (await send(get(`${server.origin}/first`, { headers: { authorization: "x" } }))).body,
    );
    expect(server.seen.at(-1)?.headers.get("authorization")).toBeNull();
  });

  test("a body is made again where 307 leads, and 302 is not followed with one", async () => {
    await using server = serve(({ path }) =>
      path === "/307" ? to("/end") : path === "/302" ? to("/end", 302) : new Response("end"),
    );
    let made = 0;
    const make = () => {
      made++;
      return Promise.resolve(new Blob(["abc"]));
    };
    const patch = { method: "PATCH", body: { size: 3, make } };
    const followed = await send(get(`${server.origin}/307`, patch));
    expect(await textOf(followed.body)).toBe("end");
    expect(made).toBe(2);
    expect((await send(get(`${server.origin}/302`, patch))).status).toBe(302);
  });

  test("a loop ends", async () => {
    await using server = serve(() => to("/again"));
    const failure = await errorOf(send(get(`${server.origin}/?token=secret`)));
    expect(failure).toMatchObject({ code: "network" });
    expect(failure.message).toContain("redirected more than 10 times");
    expect(failure.message).not.toContain("secret");
    expect(server.seen).toHaveLength(11);
  });

  test.each(["https://registry.example.com", "https://registry.example.com:8443"])(
    "to http at the same host stay with %s",
    async (origin) => {
      const seen: HttpRequest[] = [];
      const behindTls = followRedirects((request) => {
        seen.push(request);
        const port = request.url.port === "" ? "" : `:${request.url.port}`;
        const moved = request.url.pathname === "/x";
        return Promise.resolve({
          status: moved ? 307 : 200,
          headers: new Headers(moved ? { location: `http://registry.example.com${port}/y` } : {}),
          body: undefined,
          url: request.url,
        });
      });
      await behindTls(get(`${origin}/x`, { headers: { authorization: "Basic x" } }));
      expect(seen.map(({ url }) => url.href)).toEqual([`${origin}/x`, `${origin}/y`]);
    },
  );

  test("https never leads to http", async () => {
    for (const host of ["blobs.example.com", "registry.example.com:9000"]) {
      const insecure = followRedirects(pretend(`http://${host}/x?sig=secret`));
      const failure = await errorOf(insecure(get("https://registry.example.com/x")));
      expect(failure).toMatchObject({ code: "network" });
      expect(failure.message).toContain(`redirected from https to http://${host}/x`);
      expect(failure.message).not.toContain("secret");
    }
  });

  test.each(["", "file:///etc/passwd", "javascript:1", "http://[x"])(
    "a redirect to %p leads nowhere",
    async (location) => {
      const failure = await errorOf(followRedirects(pretend(location))(get("http://localhost/")));
      expect(failure).toMatchObject({ code: "network" });
    },
  );

  test.each([300, 304, 305, 306])("%d is no redirect that is followed", async (status) => {
    await using server = serve(() => new Response(null, { status, headers: { location: "/x" } }));
    expect((await send(get(server.origin))).status).toBe(status);
    expect(server.seen).toHaveLength(1);
  });

  test.each(["POST", "PUT", "PATCH"])("a %s is sent on by 307 and 308 alone", async (method) => {
    for (const status of [301, 302, 303, 307, 308]) {
      await using server = serve(({ path }) =>
        path === "/end" ? new Response("end") : to("/end", status),
      );
      const body = { size: 3, make: () => Promise.resolve(new Blob(["abc"])) };
      const response = await send(get(`${server.origin}/start`, { method, body }));
      await response.body?.cancel();
      expect(response.status).toBe(status < 307 ? status : 200);
      expect(server.seen.map((seen) => seen.method)).toEqual(
        status < 307 ? [method] : [method, method],
      );
    }
  });

  test("a user in a location is not used, and not shown", async () => {
    await using server = serve(({ path }) =>
      path === "/end" ? new Response("end") : to(`http://ada:s3cret@${server.host}/end`),
    );
    const response = await send(get(`${server.origin}/start`));
    expect(response.url.href).toBe(`${server.origin}/end`);
    expect(await textOf(response.body)).toBe("end");
    expect(server.seen[1]?.headers.get("authorization")).toBeNull();
  });

  test("a redirect whose body does not end is left after a moment", async () => {
    await using server = serve(({ path }) =>
      path === "/end"
        ? new Response("end")
        : new Response(new ReadableStream({ start: (body) => body.enqueue(new Uint8Array(9)) }), {
            status: 307,
            headers: { location: "/end" },
          }),
    );
    const response = await send(get(`${server.origin}/start`));
    expect(await textOf(response.body)).toBe("end");
  });
});
