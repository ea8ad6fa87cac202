import type { CommandOutline, Values } from "./outline.ts";
import { valueFlags } from "./outline.ts";

/**
 * A completion script for PowerShell 5.1 and later. Paths are left to PowerShell, which completes them where it gets
 * no words.
 */
export function powershellCompletions(outlines: readonly CommandOutline[]): string {
  return `# PowerShell completion for ocibundle; load it with:
#   ocibundle completions powershell | Out-String | Invoke-Expression
Register-ArgumentCompleter -Native -CommandName ocibundle -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)
    $commands = @{
${outlines.map(entry).join("\n")}
    }
    $values = @{
${outlines.flatMap(values).join("\n")}
    }
    $withValue = @(${list(valueFlags(outlines))})
    $command = ''
    $previous = ''
    $skip = $false
    foreach ($element in ($commandAst.CommandElements | Select-Object -Skip 1)) {
        if ($element.Extent.EndOffset -ge $cursorPosition -and $wordToComplete -ne '') { break }
        $word = $element.Extent.Text
        $previous = $word
        if ($skip) { $skip = $false; continue }
        if ($withValue -ccontains $word) { $skip = $true; continue }
        $longer = ("$command $word").Trim()
        if ($commands.ContainsKey($longer)) { $command = $longer }
    }
    $candidates = @(if ($skip) {
        $values["$command $previous"]
    } else {
        $commands[$command] | Where-Object { $_[0].StartsWith('-') -eq $wordToComplete.StartsWith('-') }
    })
    $candidates | Where-Object { $_ -and $_[0].StartsWith($wordToComplete) } | ForEach-Object {
        [System.Management.Automation.CompletionResult]::new($_[0], $_[0], 'ParameterValue', $_[1])
    }
}
`;
}

const quote = (text: string): string => `'${text.replaceAll("'", "''")}'`;
const list = (words: readonly string[]): string => words.map(quote).join(", ");
const pair = (word: string, description: string): string =>
  `@(${quote(word)}, ${quote(description)})`;

/** A list of pairs; the comma in front keeps a single pair from being taken for a list of two words. */
const pairs = (all: readonly string[]): string =>
  all.length === 1 ? `@(,${all.join("")})` : `@(${all.join(", ")})`;

/** What may be typed at a command. */
function entry({ path, flags, positionals, below }: CommandOutline): string {
  const words = [
    ...below.map(({ name, description }) => pair(name, description)),
    ...positionals.flatMap((positional) =>
      optionsOf(positional.values).map((option) => pair(option, positional.name)),
    ),
    ...flags.map(({ name, description }) => pair(`--${name}`, description)),
  ];
  return `        ${quote(path.join(" "))} = ${pairs(words)}`;
}

/** What may follow a flag, for those whose values are known. */
function values({ path, flags }: CommandOutline): string[] {
  return flags.flatMap(({ name, alias, values: known, description }) => {
    const options = known === undefined ? [] : optionsOf(known);
    if (options.length === 0) return [];
    const typed = [`--${name}`, ...(alias === undefined ? [] : [`-${alias}`])];
    const words = options.map((option) => pair(option, description));
    return typed.map((flag) => `        ${quote(`${path.join(" ")} ${flag}`)} = ${pairs(words)}`);
  });
}

const optionsOf = (known: Values): readonly string[] =>
  typeof known === "object" ? known.options : [];
