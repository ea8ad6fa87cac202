/** What `--help --json` prints, and what the text of `--help` is made of. */
export interface HelpDocument {
  /** As typed: `ocibundle cache ls`. */
  command: string;
  description: string;
  examples: string[];
  /** In their order. */
  arguments: ArgumentHelp[];
  flags: FlagHelp[];
  /** Those below it. Hidden ones are left out. */
  commands: { name: string; description: string }[];
}

/** A positional argument of a command. */
export interface ArgumentHelp {
  name: string;
  description: string;
  required: boolean;
  repeatable: boolean;
  options: readonly string[] | null;
}

/** A flag of a command. */
export interface FlagHelp extends ArgumentHelp {
  /** One letter, or null. */
  alias: string | null;
  type: "boolean" | "string" | "number" | "enum" | "size" | "duration";
  /** What stands for the value: `DIR`; null where the flag takes none. */
  value: string | null;
  /** Sizes in bytes, durations in milliseconds; null where there is none. */
  default: string | number | boolean | null;
}
