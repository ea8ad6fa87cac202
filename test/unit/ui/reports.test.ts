import { describe, expect, test } from "bun:test";
import type { ModelDiff } from "../../../src/report/diff.ts";
import type { PublishReport } from "../../../src/report/publish.ts";
import type { CheckedSignature, SignatureReport } from "../../../src/report/signatures.ts";
import type { ReportedWeight } from "../../../src/report/weights.ts";
import { diffTree } from "../../../src/ui/diff-tree.ts";
import { tagTable } from "../../../src/ui/ls-report.ts";
import { lockTree, modelTree } from "../../../src/ui/model-tree.ts";
import { pushReport } from "../../../src/ui/push-report.ts";
import { signatureReport } from "../../../src/ui/signature-report.ts";
import { verifyReport } from "../../../src/ui/verify-report.ts";

const GiB = 1024 ** 3;

const digest = (digit: string) => `sha256:${digit.repeat(64)}` as const;

const file = (name: string, size: number): ReportedWeight => ({
  name,
  dest: `/src/weights/${name}`,
  size,
  digest: digest("a"),
  digestOriginal: digest("a"),
  sizeUncompressed: size,
  mediaType: "application/vnd.cog.weights.layer.v1",
});

const layer = { digest: digest("6"), size: 6.1 * GiB, mediaType: "application/vnd.example.layer" };

const model: PublishReport["model"] = {
  name: "registry.example.com/acme/llama:v1",
  type: "bundle",
  mediaType: "application/vnd.oci.image.index.v1+json",
  artifactType: null,
  digest: digest("1"),
  size: 1000,
  annotations: {},
  images: [{ platform: "linux/amd64", digest: digest("2"), size: 6.1 * GiB, layers: [layer] }],
  weights: {
    format: "bundle",
    parts: null,
    unlisted: [],
    annotations: {},
    digest: digest("3"),
    size: 16.1 * GiB,
    files: [file("llama", 16.1 * GiB)],
  },
  moreWeights: [],
  content: null,
  others: [
    {
      digest: digest("4"),
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      artifactType: null,
      referenceType: "attestation-manifest",
      platform: null,
      missing: false,
      size: 400,
    },
    {
      digest: digest("5"),
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      artifactType: "application/vnd.example",
      referenceType: null,
      platform: null,
      missing: false,
      size: 500,
    },
  ],
};

const pushed: PublishReport = {
  action: "pushed",
  reference: null,
  target: "registry",
  tags: ["v1"],
  model: { ...model, others: [] },
  sent: { blobs: 2, bytes: 16.1 * GiB },
  resumed: { blobs: 0, bytes: 0 },
  mounted: { blobs: 0, bytes: 0 },
  present: { blobs: 9, bytes: 4.8 * GiB },
  milliseconds: 21_000,
  referrers: 0,
};

const lastLine = (view: PublishReport): string =>
  pushReport(view).trimEnd().split("\n").at(-1) ?? "";

describe("the report of a push", () => {
  test("is the model, and a line on what it took", () => {
    expect(pushReport(pushed)).toBe(
      [
        "registry.example.com/acme/llama:v1",
        "├─ image    linux/amd64  sha256:222222222222   6.1 GiB  1 layer",
        "└─ weights  1 file       sha256:333333333333  16.1 GiB",
        `pushed ${digest("1")} in 21 s: 16.1 GiB sent, 4.8 GiB up to date`,
        "",
      ].join("\n"),
    );
  });

  test("says what was mounted, written, and copied besides", () => {
    const mounted = { blobs: 1, bytes: 1024 };
    expect(lastLine({ ...pushed, mounted })).toEndWith(
      ": 16.1 GiB sent, 1.0 KiB mounted, 4.8 GiB up to date",
    );
    expect(lastLine({ ...pushed, action: "built", target: "layout" })).toEndWith(
      ": 16.1 GiB written, 4.8 GiB up to date",
    );
    expect(lastLine({ ...pushed, action: "copied", referrers: 1 })).toStartWith(
      `copied ${digest("1")} and 1 referrer in 21 s: `,
    );
    expect(lastLine({ ...pushed, referrers: 2 })).toContain(" and 2 referrers in ");
  });

  test("shortens the digest for a narrow terminal, then breaks the line between words", () => {
    const resumed = { blobs: 1, bytes: 1024 };
    const lines = (columns: number) =>
      pushReport({ ...pushed, resumed }, { columns })
        .trimEnd()
        .split("\n")
        .slice(3);
    expect(lines(120)).toEqual([
      "pushed sha256:111111111111 in 21 s: 16.1 GiB sent, resumed at 1.0 KiB, 4.8 GiB up to date",
    ]);
    expect(lines(80)).toEqual([
      "pushed sha256:111111111111 in 21 s: 16.1 GiB sent, resumed at 1.0 KiB, 4.8 GiB",
      "  up to date",
    ]);
  });

  test("of a dry run lists what would be done", () => {
    const mediaType = "application/vnd.example";
    const blob = { mediaType, name: null };
    const plan: PublishReport["plan"] = [
      { ...blob, kind: "layer", digest: digest("2"), size: 10, outcome: "present" },
      { ...blob, kind: "config", digest: digest("4"), size: 2048, outcome: "mounted" },
      {
        ...blob,
        kind: "weight",
        name: "llama",
        digest: digest("5"),
        size: 16.1 * GiB,
        outcome: "sent",
      },
    ];
    const dry: PublishReport = { ...pushed, action: "would-push", plan };
    expect(pushReport(dry).split("\n").slice(3)).toEqual([
      "plan",
      "├─ layer sha256:222222222222       10 B  up to date",
      "├─ config sha256:444444444444   2.0 KiB  to mount",
      '└─ weight "llama"              16.1 GiB  to send',
      `would push ${digest("1")}: 16.1 GiB to send, 4.8 GiB up to date`,
      "",
    ]);
    expect(pushReport({ ...dry, target: "layout" })).toContain("16.1 GiB  to write\n");
  });
});

describe("a tree", () => {
  test("of a model shows images, weight files, attestations and other artifacts", () => {
    expect(modelTree(model)).toBe(
      [
        "registry.example.com/acme/llama:v1  bundle  sha256:111111111111",
        "├─ image    linux/amd64              sha256:222222222222   6.1 GiB  1 layer",
        "├─ weights  1 file                   sha256:333333333333  16.1 GiB",
        "│  └─ llama  /src/weights/llama  sha256:aaaaaaaaaaaa  16.1 GiB",
        "├─ other    attestation              sha256:444444444444     400 B",
        "└─ other    application/vnd.example  sha256:555555555555     500 B",
        "",
      ].join("\n"),
    );
  });

  test("of something else says what that is", () => {
    const artifact: PublishReport["model"] = {
      ...model,
      type: "artifact",
      images: [],
      weights: null,
      others: [],
    };
    const artifactType = "application/vnd.example";
    expect(modelTree({ ...artifact, artifactType })).toContain(`  ${artifactType}  sha256:`);
    expect(modelTree({ ...artifact, content: { config: "text/x", layers: [] } })).toContain(
      "  text/x  sha256:",
    );
    expect(modelTree(artifact)).toContain(`  ${model.mediaType}  sha256:`);
  });

  test("of an image that says no platform says so", () => {
    const [image] = model.images;
    const images = image === undefined ? [] : [{ ...image, platform: null }];
    expect(modelTree({ ...model, images })).toContain("image    no platform ");
  });

  test("of weights in encoded parts says so, on a terminal below them", () => {
    const parts = {
      count: 18,
      size: GiB,
      stored: GiB / 2,
      encodings: { none: 2, zstd: 14, "bp2.zstd": 2 },
    };
    const { weights } = model;
    if (weights === null) throw new Error("the model has weights");
    const encoded = { ...model, weights: { ...weights, parts } };
    expect(modelTree(encoded)).toContain(
      "1 file in 18 parts (14 zstd, 2 bp2.zstd; 1.0 GiB decoded)",
    );
    const lines = modelTree(encoded, { columns: 80 }).split("\n");
    expect(lines).toContain("│  ├─ 14 zstd, 2 bp2.zstd; 1.0 GiB decoded");
    expect(lines.find((line) => line.includes("/src/weights/llama"))).toMatch(/─ llama  \/src/);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  });

  test("of a lock shows its files", () => {
    expect(
      lockTree({
        name: "weights.lock",
        type: "lock",
        created: "",
        files: [file("a", 1), file("b\n", 2)],
        parts: null,
      }),
    ).toBe(
      [
        "weights.lock  2 files  3 B",
        "├─ a    /src/weights/a    sha256:aaaaaaaaaaaa  1 B",
        "└─ b\\n  /src/weights/b\\n  sha256:aaaaaaaaaaaa  2 B",
        "",
      ].join("\n"),
    );
  });
});

test("a lock with parts shows how many, and how they are stored", () => {
  const tree = lockTree({
    name: "weights.lock",
    type: "lock",
    created: "",
    files: [file("a", 2048)],
    parts: { count: 3, size: 2048, stored: 1024, encodings: { none: 2, zstd: 1 } },
  });
  expect(tree).toStartWith("weights.lock  1 file in 3 parts (1 zstd; 2.0 KiB decoded)  1.0 KiB\n");
});

const tensor = (name: string, dtype: string) => {
  return { file: "model", name, dtype, shape: [2, 3], bytes: 12 };
};

const textOf = (diff: ModelDiff): string => [...diffTree(diff)].join("");

describe("a comparison", () => {
  const nothing = { blobs: 0, bytes: 0 };
  const same: ModelDiff = {
    a: "a",
    b: "b",
    weights: { added: [], removed: [], changed: [], moved: [], shared: [] },
    image: { shared: nothing, added: nothing, removed: nothing },
    other: null,
    fetch: { weights: nothing, image: nothing },
    parts: null,
    tensors: null,
  };

  test("leaves out what is empty", () => {
    expect(textOf(same)).toBe("a → b\n└─ to download 0 B: 0 B weights, 0 B image\n");
    expect(textOf({ ...same, image: null })).toBe(textOf(same));
    const parts = {
      missing: { blobs: 29, bytes: 1.5 * GiB },
      total: { blobs: 230, bytes: 15 * GiB },
    };
    expect(textOf({ ...same, parts })).toContain(
      "29 of 230 parts of split files, 1.5 GiB to download",
    );
  });

  test("of tensors says what differs, what is the same, and what was not compared", () => {
    const tensors = {
      added: [tensor("new", "BF16")],
      removed: [tensor("old", "BF16")],
      changed: [
        { before: tensor("a", "BF16"), after: tensor("a", "F16"), by: "type" as const },
        { before: tensor("b", "BF16"), after: tensor("b", "BF16"), by: "bytes" as const },
      ],
      same: { tensors: 2, bytes: 24 },
      uncompared: [tensor("c", "BF16")],
      // A file that neither side could read is one line.
      unread: { a: [{ name: "t.bin", dest: "/t.bin" }], b: [{ name: "t.bin", dest: "/t.bin" }] },
    };
    expect(
      textOf({ ...same, tensors })
        .split("\n")
        .slice(1, -2),
    ).toEqual([
      "├─ tensors",
      "│  ├─ added         new        BF16 [2, 3]               12 B",
      "│  ├─ removed       old        BF16 [2, 3]               12 B",
      "│  ├─ changed       a          BF16 [2, 3] → F16 [2, 3]  12 B",
      "│  ├─ changed       b          BF16 [2, 3]               12 B",
      "│  ├─ same          2 tensors                            24 B",
      "│  ├─ not compared  c          BF16 [2, 3]               12 B",
      "│  └─ not read      t.bin      /t.bin",
    ]);
    const uncompared = Array.from({ length: 21 }, (_, index) => tensor(`t${index}`, "BF16"));
    expect(textOf({ ...same, tensors: { ...tensors, uncompared } })).toContain(
      "not compared  21 tensors                            252 B",
    );
  });

  test("shows what became of each weight, and counts blobs", () => {
    const one = { blobs: 1, bytes: 1024 };
    expect(
      textOf({
        ...same,
        weights: {
          added: [file("new", 1)],
          removed: [file("old", 1)],
          changed: [{ before: file("changed", 1), after: file("changed", 2) }],
          moved: [{ before: file("here", 1), after: file("there", 1) }],
          shared: [file("same", 1)],
        },
        image: { shared: { blobs: 2, bytes: 20 }, added: one, removed: nothing },
        fetch: { weights: { blobs: 2, bytes: 3 }, image: one },
      }),
    ).toBe(
      [
        "a → b",
        "├─ weights",
        "│  ├─ added    new           /src/weights/new                        1 B",
        "│  ├─ removed  old           /src/weights/old                        1 B",
        "│  ├─ changed  changed       /src/weights/changed                    2 B",
        "│  ├─ moved    here → there  /src/weights/here → /src/weights/there  1 B",
        "│  └─ shared   same          /src/weights/same                       1 B",
        "├─ image",
        "│  ├─ added    1 blob  1.0 KiB",
        "│  └─ shared  2 blobs     20 B",
        "└─ to download 1.0 KiB: 3 B weights, 1.0 KiB image",
        "",
      ].join("\n"),
    );
  });
});

const listedTag = (name: string) => ({
  tag: name,
  digest: digest("a"),
  kind: "weights" as const,
  format: null,
  size: 229 * 1024 ** 2,
  own: 4800,
  shared: 228 * 1024 ** 2,
  created: "2026-02-03T10:00:00Z",
  signed: true,
  error: null,
});

test("a list of tags fits 80 columns: times and what can be calculated are omitted, tags are cut", () => {
  const listing = {
    name: "registry.example.com/acme/llama",
    tags: [listedTag("v1"), listedTag("release-candidate-of-2026")],
    size: 229 * 1024 ** 2,
    attachments: 0,
  };
  const lines = tagTable(listing, { columns: 80 }).split("\n");
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
  expect(lines[1]).toContain("2026-02-03  yes");
  const whole = tagTable(listing).split("\n");
  expect(whole[0]).toContain("SHARED  CREATED (UTC)");
  expect(whole[2]).toContain("release-candidate-of-2026");
});

const widest = (text: string): number => Math.max(...text.split("\n").map((line) => line.length));
describe("on 80 columns", () => {
  const key = `SHA256:${"A".repeat(43)}`;
  const signature: CheckedSignature = {
    digest: digest("b"),
    format: "bundle",
    valid: true,
    key,
    identity: null,
    issuer: null,
    reason: null,
  };
  const invalid = { ...signature, valid: false, key: null, reason: "signed by another key" };

  test("a fingerprint that has no room beside its signature stands below it, whole", () => {
    const report: SignatureReport = {
      name: "registry.example.com/acme/llama:v1",
      reference: null,
      digest: digest("1"),
      valid: true,
      signatures: [
        { ...invalid, reason: "of another digest" },
        signature,
        {
          ...signature,
          key: null,
          identity: "https://github.com/acme/models/.github/workflows/release.yaml@refs/heads/main",
          issuer: "https://token.actions.githubusercontent.com",
        },
      ],
    };
    const text = signatureReport(report, { columns: 80 });
    expect(text.split("\n").slice(0, 3)).toEqual([
      "invalid  bundle  sha256:bbbbbbbbbbbb  of another digest",
      "valid    bundle  sha256:bbbbbbbbbbbb",
      `    ${key}`,
    ]);
    expect(text).toContain(
      "    https://github.com/acme/models/.github/workflows/release.yaml@refs/",
    );
    const whole = signatureReport(report).split("\n")[1];
    expect(whole).toBe(`valid    bundle  sha256:bbbbbbbbbbbb  ${key}`);
    expect(
      widest(signatureReport({ ...report, signatures: [signature, invalid] }, { columns: 80 })),
    ).toBeLessThanOrEqual(80);
  });

  test("a commit that has no room beside what lacks it stands below it, whole", () => {
    const commit = "0123456789".repeat(4);
    const dir = "/home/ada/.cache/huggingface/hub/models--acme--llama";
    const item = `${dir}/snapshots/${commit}/model-00001-of-00002.safetensors`;
    const text = verifyReport(
      {
        name: "registry.example.com/acme/llama:v1",
        dir,
        quick: false,
        checked: { items: 2, bytes: 0 },
        problems: [
          { kind: "missing", item: `${dir}/refs/v1`, detail: `expected commit ${commit}` },
          { kind: "missing", item, detail: "does not exist" },
        ],
      },
      { columns: 80 },
    );
    expect(text).toContain(`\n    expected commit ${commit}\n`);
    expect(widest(text)).toBeLessThanOrEqual(80);
  });
});
