import { expect, test } from "bun:test";
import { isTransient } from "../../../src/retry/transient.ts";

test.each([408, 425, 429, 500, 502, 503, 504, 529, undefined])("%p is retried", (status) => {
  expect(isTransient(status)).toBe(true);
  expect(isTransient(status, "upload")).toBe(true);
});

test.each([200, 400, 401, 403, 404, 413, 416, 501])("%d is final", (status) => {
  expect(isTransient(status)).toBe(false);
  expect(isTransient(status, "upload")).toBe(false);
});

test.each([409, 423])("%d is retried in an upload session only", (status) => {
  expect(isTransient(status)).toBe(false);
  expect(isTransient(status, "upload")).toBe(true);
});
