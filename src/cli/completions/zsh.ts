import type { CommandOutline, FlagOutline, PositionalOutline, Values } from "./outline.ts";

/** A completion script for zsh, to be sourced or put into a directory of fpath as `_ocibundle`. */
export function zshCompletions(outlines: readonly CommandOutline[]): string {
  return `#compdef ocibundle
# zsh completion for ocibundle; load it with: source <(ocibundle completions zsh)
${outlines.map(commandFunction).join("\n")}
if [[ \${funcstack[1]} == _ocibundle ]]; then
  _ocibundle "$@"
else
  compdef _ocibundle ocibundle
fi
`;
}

const functionName = (path: readonly string[]): string => ["_ocibundle", ...path].join("_");

function commandFunction({ path, flags, positionals, below }: CommandOutline): string {
  const specs = flags.map(flagSpec);
  if (below.length === 0) {
    return `${functionName(path)}() {
  _arguments -s -S ${lines([...specs, ...positionals.map(positionalSpec)])}
}
`;
  }
  return `${functionName(path)}() {
  local curcontext=$curcontext state line
  local -a commands
  typeset -A opt_args
  commands=(${lines(below.map(({ name, description }) => quote(`${name}:${description}`)))})
  _arguments -s -S -C ${lines([...specs, "'(-): :->command'", "'(-)*:: :->argument'"])}
  case $state in
    command) _describe command commands ;;
    argument)
      case $line[1] in
${below.map(({ name }) => `        ${name}) ${functionName([...path, name])} ;;`).join("\n")}
      esac
      ;;
  esac
}
`;
}

const lines = (items: readonly string[]): string =>
  items.map((item) => `\\\n    ${item}`).join(" ");

const quote = (text: string): string => `'${text.replaceAll("'", String.raw`'\''`)}'`;

/** Within the brackets of a spec. */
const escape = (text: string): string => text.replaceAll(/[[\]:\\]/g, String.raw`\$&`);

function flagSpec({ name, alias, description, values, repeatable }: FlagOutline): string {
  const said = `[${escape(description)}]`;
  const value = values === undefined ? "" : `:${escape(name)}:${action(values)}`;
  const long = `--${name}${values === undefined ? "" : "="}`;
  if (alias === undefined) return quote(`${repeatable ? "*" : ""}${long}${said}${value}`);
  const short = `-${alias}${values === undefined ? "" : "+"}`;
  const exclusive = repeatable ? "*" : `(-${alias} --${name})`;
  return `${quote(exclusive)}{${short},${long}}${quote(said + value)}`;
}

const positionalSpec = ({ name, values, repeatable }: PositionalOutline): string =>
  quote(`${repeatable ? "*" : ""}:${escape(name)}:${action(values)}`);

function action(values: Values): string {
  if (typeof values === "object") return `(${values.options.join(" ")})`;
  if (values === "file") return "_files";
  return values === "directory" ? "_files -/" : " ";
}
