import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { installCompletions } from "../../../../src/model/jobs/install-completions.ts";
import { failureOf } from "../../../support/failure.ts";
import { temporaryDirectory } from "../../../support/temporary-directory.ts";

test("what is left to do by hand can be typed as it is, whatever the directory is called", async () => {
  const home = join(await temporaryDirectory(), "it's $(here)");
  const job = { env: { HOME: home, XDG_DATA_HOME: "relative/is/ignored" } };
  const { path, next } = await installCompletions(job, "zsh", "#compdef ocibundle\n");
  expect(path).toBe(join(home, ".local/share/zsh/site-functions/_ocibundle"));
  expect(readFileSync(path, "utf8")).toBe("#compdef ocibundle\n");
  // bash quotes as zsh does.
  const quotedPath = next?.match(/fpath=\((.*) \$fpath\)$/)?.[1] ?? "";
  const { stdout } = Bun.spawnSync(["bash", "-c", `printf %s ${quotedPath}`], { env: {} });
  expect(String(stdout)).toBe(join(home, ".local/share/zsh/site-functions"));
});

test("PowerShell doubles a quote within quotes", async () => {
  const home = join(await temporaryDirectory(), "it's");
  const { next } = await installCompletions({ env: { HOME: home } }, "powershell", "");
  expect(next).toEndWith(`. '${home.replace("'", "''")}/.config/powershell/ocibundle.ps1'`);
});

test("a home that cannot be written to is an error that names the file", async () => {
  const home = "/proc/nowhere";
  const error = await failureOf(installCompletions({ env: { HOME: home } }, "fish", ""));
  expect(error.message).toContain("/proc/nowhere/.config/fish/completions/ocibundle.fish");
  expect(error.hint).toBeDefined();
});
