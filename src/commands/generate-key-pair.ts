import { defineCommand } from "../cli/command.ts";
import { writeKeyPair } from "../model/jobs/generate-key-pair.ts";
import { keyPairReport } from "../ui/signature-report.ts";
import { keyPassword } from "./key-password.ts";

/** Reports the two paths (`GeneratedKeyPair`); `--quiet` prints that of the public key. */
export const command = defineCommand({
  meta: {
    name: "generate-key-pair",
    description: "Generate a key pair for signing, in cosign's format",
    example: "ocibundle generate-key-pair",
  },
  args: {
    outputKeyPrefix: {
      type: "string",
      default: "cosign",
      valueHint: "PATH",
      description: "Path of the two files, without the extensions .key and .pub",
    },
    passwordStdin: {
      type: "boolean",
      description: "Read the password of the key from standard input",
    },
  },
  run: ({ outputKeyPrefix, passwordStdin }, context) =>
    writeKeyPair(context, outputKeyPrefix, () =>
      keyPassword(context, { fromStdin: passwordStdin, isNew: true }),
    ),
  text: keyPairReport,
  digest: ({ publicKey }) => publicKey,
});
