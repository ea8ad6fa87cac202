import { defineCommand } from "../cli/command.ts";
import { signReference } from "../model/jobs/sign.ts";
import { signReport } from "../ui/signature-report.ts";
import { keyPassword } from "./key-password.ts";

export const command = defineCommand({
  meta: {
    name: "sign",
    description: "Sign a manifest with a private key, as cosign does",
    example: [
      "ocibundle sign registry.example.com/acme/llama:v1 --key cosign.key",
      "ocibundle sign registry.example.com/acme/llama:v1 --key env://COSIGN_PRIVATE_KEY",
    ],
  },
  args: {
    ref: { type: "positional", description: "A registry reference, by tag or by digest" },
    key: {
      type: "string",
      required: true,
      valueHint: "FILE",
      description: "The private key: a file or env://NAME",
    },
    passwordStdin: {
      type: "boolean",
      description: "Read the password of the key from standard input",
    },
    format: {
      type: "enum",
      options: ["bundle", "tag", "both"],
      default: "bundle",
      description: "Store it as cosign 3 does, under a tag as cosign 2 does, or both",
    },
    recursive: {
      type: "boolean",
      alias: "r",
      description: "Also sign the manifests that an index lists",
    },
  },
  run: ({ ref, key, passwordStdin, format, recursive }, context) =>
    signReference(context, {
      reference: ref,
      key,
      password: () => keyPassword(context, { fromStdin: passwordStdin, isNew: false }),
      formats: format === "both" ? ["bundle", "tag"] : [format],
      recursive,
    }),
  text: signReport,
  digest: ({ digest }) => digest,
});
