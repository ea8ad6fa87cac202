import { defineCommand } from "../cli/command.ts";
import { signReference } from "../model/jobs/sign.ts";
import { signReport } from "../ui/signature-report.ts";
import { keyPassword } from "./key-password.ts";

/**
 * Reports every signature, also those that were there (`Signed`); `--quiet` prints the digest of the signed manifest.
 */
export const command = defineCommand({
  meta: {
    name: "sign",
    description: "Sign a manifest with a private key, in cosign's format",
    example: [
      "ocibundle sign registry.example.com/acme/llama:v1 --key cosign.key",
      "ocibundle sign registry.example.com/acme/llama:v1 --key env://COSIGN_PRIVATE_KEY",
    ],
  },
  args: {
    ref: { type: "positional", description: "Registry reference with a tag or digest" },
    key: {
      type: "string",
      required: true,
      valueHint: "FILE",
      description: "Private key: a file or env://NAME",
    },
    passwordStdin: {
      type: "boolean",
      description: "Read the password of the key from standard input",
    },
    format: {
      type: "enum",
      options: ["bundle", "tag", "both"],
      default: "bundle",
      description: "Store the signature as a bundle (cosign 3), under a tag (cosign 2), or both",
    },
    recursive: {
      type: "boolean",
      alias: "r",
      description: "Also sign each manifest listed in an index",
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
