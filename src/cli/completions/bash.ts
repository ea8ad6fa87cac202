import { valueFlags } from "./outline.ts";
import type { CommandOutline, PositionalOutline, Values } from "./outline.ts";

/**
 * A completion script for bash 3.2 and later. Where a path may stand, bash's own file names are offered;
 * where a reference stands, nothing is, except by bash 3.2, which can't be told so.
 */
export function bashCompletions(outlines: readonly CommandOutline[]): string {
  const paths = outlines.filter(({ path }) => path.length > 0).map(({ path }) => path.join(" "));
  return `# bash completion for ocibundle; load it with: source <(ocibundle completions bash)
_ocibundle() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD - 1]}
  local command="" flags="" words="" kinds="" index word count=0
  # bash takes --flag=value and host:tag for three words
  if [[ $current == ":" || $previous == ":" ]]; then
    word=\${COMP_WORDS[COMP_CWORD - 2]}
    if [[ $current == ":" ]]; then word=$previous; fi
    case $word in
      oci | oci-archive | docker-archive) if [[ $current == ":" ]]; then COMPREPLY=($(compgen -f)); fi ;;
      *) compopt +o default +o bashdefault 2>/dev/null ;;
    esac
    return
  fi
  if [[ $current == "=" ]]; then
    current=""
  elif [[ $previous == "=" ]]; then
    previous=\${COMP_WORDS[COMP_CWORD - 2]}
  fi
  for ((index = 1; index < COMP_CWORD; index++)); do
    word=\${COMP_WORDS[index]}
    case $word in
      ${valueFlags(outlines).join(" | ")}) ((index++)) ;;
      -* | "=") ;;
      ":") ((index++)) ;;
      *)
        case "\${command:+$command }$word" in
          ${paths.map(quote).join(" | ")}) command="\${command:+$command }$word" count=0 ;;
          *) ((count++)) ;;
        esac
        ;;
    esac
  done
  case "$command $previous" in
${outlines.flatMap(flagCases).join("\n")}
  esac
  case $command in
${outlines.map(commandCase).join("\n")}
  esac
  if [[ $current == -* ]]; then
    words=$flags
  else
    # The last kind is that of all further words
    kinds=($kinds)
    if ((count >= \${#kinds[@]})); then count=$((\${#kinds[@]} - 1)); fi
    if ((count < 0)) || [[ \${kinds[count]} == "none" ]]; then
      compopt +o default +o bashdefault 2>/dev/null
    fi
  fi
  local IFS=$'\\n'
  COMPREPLY=($(IFS=" " compgen -W "$words" -- "$current"))
}
complete -o bashdefault -o default -F _ocibundle ocibundle
`;
}

const quote = (text: string): string => `"${text}"`;

/** One for each flag that takes a value. */
function flagCases({ path, flags }: CommandOutline): string[] {
  return flags.flatMap(({ name, alias, values }) => {
    if (values === undefined) return [];
    const typed = [`--${name}`, ...(alias === undefined ? [] : [`-${alias}`])];
    const patterns = typed.map((flag) => quote(`${path.join(" ")} ${flag}`)).join(" | ");
    return [`    ${patterns}) ${completeValue(values)}return ;;`];
  });
}

/** Without words of ours, bash completes file names by itself, with the right quotes. */
function completeValue(values: Values): string {
  if (typeof values === "object") {
    return `COMPREPLY=($(compgen -W "${values.options.join(" ")}" -- "$current")); `;
  }
  // bash 3.2 has no compopt, and offers files too
  return values === "directory" ? "compopt -o dirnames 2>/dev/null; " : "";
}

function commandCase({ path, flags, positionals, below }: CommandOutline): string {
  const words = [
    ...below.map(({ name }) => name),
    ...positionals.flatMap(({ values }) => (typeof values === "object" ? values.options : [])),
  ];
  const names = flags.map(({ name }) => `--${name}`);
  const kinds = kindsOf(positionals);
  return `    ${quote(path.join(" "))}) flags="${names.join(" ")}" words="${words.join(" ")}" kinds="${kinds.join(" ")}" ;;`;
}

/** Whether file names may stand at each place; after the last place there is none unless it repeats. */
function kindsOf(positionals: readonly PositionalOutline[]): string[] {
  const kinds = positionals.map(({ values }) =>
    values === "file" || values === "directory" ? "files" : "none",
  );
  return positionals.at(-1)?.repeatable === true ? kinds : [...kinds, "none"];
}
