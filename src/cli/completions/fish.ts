import { valueFlags } from "./outline.ts";
import type { CommandOutline, FlagOutline, Values } from "./outline.ts";

/** A completion script for fish 3 and later. */
export function fishCompletions(outlines: readonly CommandOutline[]): string {
  const paths = outlines.filter(({ path }) => path.length > 0).map(({ path }) => path.join(" "));
  return `# fish completion for ocibundle; load it with: ocibundle completions fish | source
function __ocibundle_at
    set -l command
    set -l skip 0
    for word in (commandline -opc)[2..-1]
        if test $skip = 1
            set skip 0
            continue
        end
        switch $word
            case ${valueFlags(outlines).join(" ")}
                set skip 1
            case '-*'
            case '*'
                set -l longer (string trim "$command $word")
                if contains -- $longer ${paths.map(quote).join(" ")}
                    set command $longer
                end
        end
    end
    test "$command" = "$argv[1]"
end
complete -c ocibundle -f
${outlines.flatMap(commandLines).join("\n")}
`;
}

const quote = (text: string): string => `'${text.replaceAll(/[\\']/g, String.raw`\$&`)}'`;

function commandLines({ path, flags, positionals, below }: CommandOutline): string[] {
  const at = `complete -c ocibundle -n ${quote(`__ocibundle_at ${quote(path.join(" "))}`)}`;
  return [
    ...below.map(({ name, description }) => `${at} -a ${name} -d ${quote(description)}`),
    ...flags.map((flag) => `${at} ${flagOptions(flag)}`),
    ...positionals.flatMap(({ values }) => {
      const candidates = argumentsOf(values);
      return candidates === undefined ? [] : [`${at} ${candidates}`];
    }),
  ];
}

function flagOptions({ name, alias, description, values }: FlagOutline): string {
  const short = alias === undefined ? [] : ["-s", alias];
  const value = values === undefined ? [] : [values === "file" ? "-r" : "-x", argumentsOf(values)];
  return ["-l", name, ...short, ...value, "-d", quote(description)].filter(Boolean).join(" ");
}

function argumentsOf(values: Values): string | undefined {
  if (typeof values === "object") return `-a ${quote(values.options.join(" "))}`;
  if (values === "file") return "-F";
  return values === "directory" ? `-a ${quote("(__fish_complete_directories)")}` : undefined;
}
