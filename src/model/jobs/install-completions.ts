import { mkdir } from "node:fs/promises";
import { dirname, isAbsolute, join } from "node:path";
import { OcibundleError } from "../../errors.ts";
import { unwritable } from "../../runtime/file-faults.ts";
import { homeDirectory } from "../../runtime/home-directory.ts";
import { writeOutputFile } from "../../store/output-file.ts";
import type { JobContext } from "../session/session.ts";

/** Shells that have a completion script. */
export const shells = ["bash", "zsh", "fish", "powershell"] as const;
/** One of them. */
export type Shell = (typeof shells)[number];

/** What `completions install` did; with `--json` its shape is part of the surface (docs/json.md). */
export interface InstalledCompletions {
  shell: Shell;
  path: string;
  /** What is left to do by hand; null where the shell loads the script by itself. */
  next: string | null;
}

/**
 * Writes a completion script to the directory of this user's that a shell looks in. Files that the user
 * edits, such as .zshrc, are never changed. Throws `system` where there is no home or it can't be written to.
 */
export async function installCompletions(
  { env }: Pick<JobContext, "env">,
  shell: Shell,
  script: string,
): Promise<InstalledCompletions> {
  const home = homeDirectory(env);
  if (home === undefined) {
    throw new OcibundleError("system", "cannot install completions: there is no home directory", {
      hint: `set HOME, or write the output of \`ocibundle completions ${shell}\` to a file`,
    });
  }
  const data = xdg(env["XDG_DATA_HOME"], join(home, ".local/share"));
  const config = xdg(env["XDG_CONFIG_HOME"], join(home, ".config"));
  const bash = xdg(env["BASH_COMPLETION_USER_DIR"], join(data, "bash-completion"));
  const zsh = join(data, "zsh/site-functions");
  const places: Record<Shell, Omit<InstalledCompletions, "shell">> = {
    bash: {
      path: join(bash, "completions/ocibundle"),
      next: "new shells load it if the package bash-completion is installed",
    },
    zsh: {
      path: join(zsh, "_ocibundle"),
      next: `add to .zshrc, before compinit: fpath=(${quoted(zsh, String.raw`'\''`)} $fpath)`,
    },
    fish: { path: join(config, "fish/completions/ocibundle.fish"), next: null },
    powershell: {
      path: join(config, "powershell/ocibundle.ps1"),
      next: `add to $PROFILE: . ${quoted(join(config, "powershell/ocibundle.ps1"), "''")}`,
    },
  };
  const place = { shell, ...places[shell] };
  try {
    await mkdir(dirname(place.path), { recursive: true });
  } catch (error) {
    throw unwritable(place.path, error);
  }
  const hint = `write the output of \`ocibundle completions ${shell}\` to a file`;
  await writeOutputFile(place.path, new TextEncoder().encode(script), hint);
  return place;
}

/** XDG Base Directory Specification 0.8: a relative path counts as not set. */
const xdg = (value: string | undefined, otherwise: string): string =>
  value !== undefined && isAbsolute(value) ? value : otherwise;

/** Within single quotes zsh ends at one, PowerShell takes two for one. */
const quoted = (path: string, quote: string): string =>
  /^[\w./-]+$/.test(path) ? path : `'${path.replaceAll("'", quote)}'`;
