import { settingsOf } from "../session/settings-of.ts";
import { projectLayout } from "../format/read-project-file.ts";
import { type LayoutName, layoutVariable, parseLayout } from "../format/layout-name.ts";
import type { Session } from "../session/session.ts";

/** The layout by flag, environment, project file or the registry's configuration, in this order. */
export async function chosenLayout(
  { env, cwd, config }: Session,
  flag: string | undefined,
  host: string | undefined,
): Promise<LayoutName | undefined> {
  if (flag !== undefined) return parseLayout(flag);
  const variable = env[layoutVariable];
  if (variable) return parseLayout(variable, layoutVariable);
  const ofProject = await projectLayout(cwd);
  if (ofProject !== undefined) return ofProject;
  return host === undefined ? undefined : settingsOf(config, host).layout;
}
