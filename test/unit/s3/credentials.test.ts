import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { systemClock } from "../../../src/retry/clock.ts";
import { s3Credentials } from "../../../src/s3/credentials.ts";
import { afterwards } from "../../support/afterwards.ts";

const signal = new AbortController().signal;

/** A home with shared files, and an answering service on loopback. */
async function bench(answer?: (request: IncomingMessage, response: ServerResponse) => void) {
  const home = mkdtempSync(join(tmpdir(), "ocibundle-aws-"));
  const server = createServer((request, response) => answer?.(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  afterwards(async () => {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
    rmSync(home, { recursive: true, force: true });
  });
  const file = (name: string, text: string): string => {
    const path = join(home, name);
    writeFileSync(path, text);
    return path;
  };
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  let now = Date.parse("2026-11-29T06:00:00Z");
  const open = (env: Record<string, string>) =>
    s3Credentials({ HOME: home, ...env }, () => ({
      env: { HOME: home, ...env },
      region: "eu-west-1",
      emit: () => undefined,
      clock: { ...systemClock, now: () => now },
      certificates: () => ({}),
    }));
  const get = async (env: Record<string, string>) => (await open(env)).get(signal);
  const later = (milliseconds: number): void => void (now += milliseconds);
  return { home, file, origin, open, get, later };
}

const role = (expires = "2026-11-29T07:00:00Z", key = "ASIAROLE") =>
  JSON.stringify({ AccessKeyId: key, SecretAccessKey: "s", Token: "t", Expiration: expires });

test("the environment comes first, and nothing at all is anonymous", async () => {
  const { get } = await bench();
  expect(await get({})).toBeUndefined();
  expect(await get({ AWS_ACCESS_KEY_ID: "A", AWS_SECRET_ACCESS_KEY: "s" })).toMatchObject({
    accessKeyId: "A",
    secretAccessKey: "s",
  });
});

test("a profile has its keys in one file and its region in another", async () => {
  const { file, open } = await bench();
  const env = {
    AWS_SHARED_CREDENTIALS_FILE: file(
      "credentials",
      "# keys\n[default]\naws_access_key_id = D\naws_secret_access_key=d\n\n[ work ]\naws_access_key_id=W\naws_secret_access_key=w/+=\naws_session_token = t # of today\n",
    ),
    AWS_CONFIG_FILE: file(
      "config",
      "[profile work]\nregion = eu-central-1\ns3 =\n  endpoint = x\n",
    ),
  };
  const plain = await open(env);
  expect(await plain.get(signal)).toMatchObject({ accessKeyId: "D" });
  const named = await open({ ...env, AWS_PROFILE: "work" });
  expect(named.profile?.region).toBe("eu-central-1");
  expect(await named.get(signal)).toMatchObject({
    accessKeyId: "W",
    secretAccessKey: "w/+=",
    sessionToken: "t",
  });
});

test.each([
  [{ AWS_PROFILE: "missing" }, "is not in the credentials file or the config file"],
  [{ AWS_PROFILE: "process" }, "has no keys, but credential_process"],
  [{ AWS_ACCESS_KEY_ID: "A" }, "AWS_SECRET_ACCESS_KEY is not"],
  [{ AWS_ACCESS_KEY_ID: "A", AWS_SECRET_ACCESS_KEY: "a\nb" }, "has invalid characters"],
  [{ AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://example.com/" }, "neither https nor an address"],
  [
    { AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://169.254.169.example.com/" },
    "neither https nor an address",
  ],
  [
    {
      AWS_CONTAINER_CREDENTIALS_FULL_URI: "http://127.0.0.1/",
      AWS_CONTAINER_AUTHORIZATION_TOKEN: "a\nb",
    },
    "is not a token",
  ],
  [
    {
      OCIBUNDLE_S3_INSTANCE_ROLE: "1",
      AWS_EC2_METADATA_SERVICE_ENDPOINT: "http://example.com",
    },
    "neither https nor an address",
  ],
  [
    { OCIBUNDLE_S3_INSTANCE_ROLE: "1", AWS_EC2_METADATA_SERVICE_ENDPOINT: "metadata" },
    "neither https nor an address",
  ],
])("%j is refused", async (env, words) => {
  const { file, get } = await bench();
  const config = file("config", "[profile process]\ncredential_process = /bin/false\n");
  const asked = get({ AWS_CONFIG_FILE: config, ...(env as Record<string, string>) });
  const error = await asked.then(
    () => undefined,
    (failure: unknown) => failure,
  );
  expect(String(error)).toContain(words);
});

test("a web identity's token is exchanged for the keys of a role, which are asked for again in time", async () => {
  const bodies: string[] = [];
  const { file, origin, open, later } = await bench((request, response) => {
    let body = "";
    request.on("data", (chunk) => (body += String(chunk)));
    request.on("end", () => {
      bodies.push(body);
      response.end(
        `<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><AssumeRoleWithWebIdentityResult><Credentials><AccessKeyId>ASIA${bodies.length}</AccessKeyId><SecretAccessKey>s</SecretAccessKey><SessionToken>t</SessionToken><Expiration>2026-11-29T0${6 + bodies.length}:00:00Z</Expiration></Credentials></AssumeRoleWithWebIdentityResult></AssumeRoleWithWebIdentityResponse>`,
      );
    });
  });
  const credentials = await open({
    AWS_WEB_IDENTITY_TOKEN_FILE: file("token", "pod-token\n"),
    AWS_ROLE_ARN: "arn:aws:iam::1:role/r",
    AWS_ENDPOINT_URL_STS: origin,
  });
  expect(await credentials.get(signal)).toMatchObject({ accessKeyId: "ASIA1", sessionToken: "t" });
  later(30 * 60_000);
  expect(await credentials.get(signal)).toMatchObject({ accessKeyId: "ASIA1" });
  later(26 * 60_000);
  expect(await credentials.get(signal)).toMatchObject({ accessKeyId: "ASIA2" });
  expect(Object.fromEntries(new URLSearchParams(bodies[0]))).toMatchObject({
    Action: "AssumeRoleWithWebIdentity",
    WebIdentityToken: "pod-token",
  });
});

test("a container asks its own service, with the token of a file", async () => {
  const { file, origin, get } = await bench((request, response) => {
    if (request.headers.authorization !== "pod-token") response.writeHead(401).end();
    else response.end(role());
  });
  expect(
    await get({
      AWS_CONTAINER_CREDENTIALS_FULL_URI: `${origin}/v1/credentials`,
      AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file("token", "pod-token"),
    }),
  ).toMatchObject({ accessKeyId: "ASIAROLE", sessionToken: "t" });
});

test("the machine's role is asked for only where that was asked for", async () => {
  const seen: string[] = [];
  const { origin, get } = await bench((request, response) => {
    seen.push(`${request.method} ${request.url}`);
    if (request.method === "PUT") response.end("machine-token");
    else if (request.headers["x-aws-ec2-metadata-token"] !== "machine-token") {
      response.writeHead(401).end();
    } else response.end(request.url?.endsWith("/") === true ? "my-role" : role());
  });
  const env = { AWS_EC2_METADATA_SERVICE_ENDPOINT: origin };
  expect(await get(env)).toBeUndefined();
  expect(seen).toEqual([]);
  expect(await get({ ...env, OCIBUNDLE_S3_INSTANCE_ROLE: "1" })).toMatchObject({
    accessKeyId: "ASIAROLE",
  });
  expect(seen).toEqual([
    "PUT /latest/api/token",
    "GET /latest/meta-data/iam/security-credentials/",
    "GET /latest/meta-data/iam/security-credentials/my-role",
  ]);
});

test("a service without an answer is no secret spilled", async () => {
  const { origin, get } = await bench((_, response) => {
    response.end(`{"AccessKeyId": "verysecret"}`);
  });
  const error = await get({ AWS_CONTAINER_CREDENTIALS_FULL_URI: origin }).then(
    () => undefined,
    (failure: unknown) => failure,
  );
  expect(String(error)).toContain("a response without credentials");
  expect(String(error)).not.toContain("verysecret");
});
