import { expect, test } from "bun:test";
import { createReachRule, reachOf } from "../../../src/web/redirect-rule.ts";

test.each([
  ["8.8.8.8", "public"],
  ["2606:4700::1111", "public"],
  ["10.1.2.3", "private"],
  ["172.31.0.1", "private"],
  ["192.168.1.1", "private"],
  ["100.64.0.1", "private"],
  ["fd12::1", "private"],
  ["127.0.0.2", "local"],
  ["169.254.169.254", "local"],
  ["::1", "local"],
  ["fe80::1%eth0", "local"],
  ["::ffff:127.0.0.1", "local"],
  ["::ffff:7f00:1", "local"],
  ["::ffff:a00:1", "private"],
  ["0.0.0.0", "local"],
])("%s is %s", (address, reach) => {
  expect(reachOf(address)).toBe(reach as "public");
});

const names: Record<string, string[]> = {
  "files.example": ["93.184.216.34"],
  "inside.example": ["10.0.0.5"],
  "both.example": ["93.184.216.34", "127.0.0.1"],
};
const resolve = (name: string) => Promise.resolve(names[name] ?? []);

test.each([
  ["https://files.example/a", "https://cdn.example/a", true],
  ["https://files.example/a", "https://10.0.0.1/a", false],
  ["https://files.example/a", "http://localhost:8080/a", false],
  ["https://files.example/a", "https://inside.example/a", false],
  ["https://files.example/a", "https://both.example/a", false],
  ["https://files.example/a", "http://[::ffff:169.254.169.254]/a", false],
  ["https://files.example/a", "https://files.example:8443/a", true],
  ["https://inside.example/a", "https://10.0.0.9/a", true],
  ["https://inside.example/a", "http://127.0.0.1/a", false],
  ["http://127.0.0.1:1/a", "http://127.0.0.1:2/a", true],
  ["http://127.0.0.1:1/a", "https://files.example/a", true],
  ["http://localhost:1/a", "http://169.254.169.254/latest", false],
])("a redirect from %s to %s: %p", async (from, to, isAllowed) => {
  const checked = createReachRule(resolve)
    .checkRedirect(new URL(from), new URL(to))
    .then(
      () => true,
      () => false,
    );
  expect(await checked).toBe(isAllowed);
});

const publicUrl = new URL("https://files.example/a");

test("a name that moved further in between the look-up and the connection is not connected to", async () => {
  const rule = createReachRule(resolve);
  await rule.checkRedirect(publicUrl, new URL("http://cdn.example/a"));
  expect(() => rule.checkAddresses("cdn.example", ["93.184.216.35"])).not.toThrow();
  expect(() => rule.checkAddresses("cdn.example", ["93.184.216.35", "127.0.0.1"])).toThrow(
    "cdn.example now resolves to an address of this machine, unlike before",
  );
});

test("a name without a redirect may be wherever it is first, and no further in", () => {
  const rule = createReachRule(resolve);
  expect(() => rule.checkAddresses("inside.example", ["10.0.0.5"])).not.toThrow();
  expect(() => rule.checkAddresses("inside.example", ["10.0.0.6"])).not.toThrow();
  expect(() => rule.checkAddresses("inside.example", ["169.254.169.254"])).toThrow("this machine");
});

test("a redirect from outside narrows what a name may be", async () => {
  const rule = createReachRule(resolve);
  await rule.checkRedirect(new URL("https://inside.example/a"), new URL("https://cdn.example/a"));
  await rule.checkRedirect(publicUrl, new URL("https://cdn.example/a"));
  expect(() => rule.checkAddresses("cdn.example", ["10.0.0.5"])).toThrow("a private network");
});
