import { describe, expect, test } from "bun:test";
import { parseReference } from "../../../src/oci/reference.ts";
import { limitsOf } from "../../../src/registry/limits.ts";

describe("limits of a registry", () => {
  test.each([
    ["ghcr.io/acme/llama", "GitHub Container Registry"],
    ["123456789012.dkr.ecr.eu-central-1.amazonaws.com/llama", "Amazon ECR"],
    ["123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/llama", "Amazon ECR"],
    ["123456789012.dkr-ecr.us-east-1.on.aws/llama", "Amazon ECR"],
    ["public.ecr.aws/acme/llama", "Amazon ECR Public"],
    ["europe-west3-docker.pkg.dev/acme/models/llama", "Google Artifact Registry"],
    ["eu.gcr.io/acme/llama", "Google Artifact Registry"],
    ["gcr.io/acme/llama", "Google Artifact Registry"],
    ["acme.azurecr.io/llama", "Azure Container Registry"],
    ["acme/llama", "Docker Hub"],
    ["quay.io/acme/llama", "Quay"],
    ["acme.jfrog.io/models/llama", "Artifactory"],
  ])("are known of %s", (reference, name) => {
    expect(limitsOf(parseReference(reference).host)?.name).toBe(name);
  });

  test.each([
    "registry.example.com",
    "ghcr.io.example.com",
    "notghcr.io",
    "ghcr.io:8443",
    "azurecr.io.evil.test",
    "127.0.0.1:5000",
    "xgcr.io",
  ])("are not known of %s", (host) => {
    expect(limitsOf(host)).toBeUndefined();
  });

  test("are sizes that somebody wrote down", () => {
    expect(limitsOf("ghcr.io")).toMatchObject({ largestBlob: 10 * 1024 ** 3 });
    expect(limitsOf("public.ecr.aws")?.largestBlob).toBe(10_000 * 1024 ** 2);
    expect(limitsOf("123456789012.dkr.ecr.eu-central-1.amazonaws.com")).toMatchObject({
      largestBlob: 52_000 * 1024 ** 2,
      smallestChunk: 5 * 1024 ** 2,
    });
  });
});
