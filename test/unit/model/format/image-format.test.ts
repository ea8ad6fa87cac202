import { describe, expect, test } from "bun:test";
import { chooseImageFormat, type FormatChoice } from "../../../../src/model/format/image-format.ts";

const choose = (choice: Partial<FormatChoice>) =>
  chooseImageFormat({
    flag: undefined,
    env: {},
    hasImage: true,
    hasWeights: true,
    weightsGiven: false,
    ...choice,
  });

describe("the format is", () => {
  test("a bundle where there are weights, else standalone", () => {
    expect(choose({})).toBe("bundle");
    expect(choose({ hasWeights: false })).toBe("standalone");
  });

  test("the weights alone where there is no image", () => {
    expect(choose({ hasImage: false })).toBe("weights");
    expect(choose({ hasImage: false, env: { COG_OCI_INDEX: "1" } })).toBe("weights");
  });

  test("what the flag says, over the variable, over Cog's variable", () => {
    const env = { OCIBUNDLE_FORMAT: "standalone", COG_OCI_INDEX: "1" };
    expect(choose({ flag: "bundle", env })).toBe("bundle");
    expect(choose({ env })).toBe("standalone");
    expect(choose({ env: { COG_OCI_INDEX: "1" } })).toBe("bundle");
    expect(choose({ env: { OCIBUNDLE_FORMAT: "" } })).toBe("bundle");
  });

  test("not changed by another value of Cog's variable", () => {
    expect(choose({ hasWeights: false, env: { COG_OCI_INDEX: "true" } })).toBe("standalone");
    expect(choose({ hasWeights: false, env: { COG_OCI_INDEX: "0" } })).toBe("standalone");
  });
});

describe("refused", () => {
  test.each<[string, Partial<FormatChoice>, string]>([
    [
      "a bundle without a lock",
      { flag: "bundle", hasWeights: false },
      "--format bundle needs a weights.lock",
    ],
    [
      "a bundle by Cog's variable without a lock",
      { env: { COG_OCI_INDEX: "1" }, hasWeights: false },
      "COG_OCI_INDEX=1 needs a weights.lock",
    ],
    [
      "standalone with weights",
      { flag: "standalone", weightsGiven: true },
      "--format standalone: a standalone image cannot hold weights",
    ],
    [
      "standalone by the variable with weights",
      { env: { OCIBUNDLE_FORMAT: "standalone" }, weightsGiven: true },
      "OCIBUNDLE_FORMAT=standalone: a standalone image cannot hold weights",
    ],
    [
      "weights without a lock",
      { hasWeights: false, weightsGiven: true },
      "weights.lock does not exist",
    ],
    [
      "neither image nor weights",
      { hasImage: false, hasWeights: false },
      "neither an image nor a weights.lock was specified",
    ],
    [
      "a format for weights alone",
      { flag: "bundle", hasImage: false },
      "--format bundle needs an image",
    ],
    ["another format", { flag: "Bundle" }, '--format Bundle: "Bundle" is not an image format'],
    [
      "another format in the variable",
      { env: { OCIBUNDLE_FORMAT: "zip" } },
      'OCIBUNDLE_FORMAT=zip: "zip" is not an image format',
    ],
  ])("%s, saying what to add or drop", (_, choice, message) => {
    let caught: unknown;
    try {
      choose(choice);
    } catch (error) {
      caught = error;
    }
    expect(caught).toMatchObject({ code: "usage", message });
    expect((caught as { hint?: string }).hint).toBeString();
  });
});
