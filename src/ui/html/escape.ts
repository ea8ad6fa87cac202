import { escapeText } from "../text.ts";

const entities: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
};

/** Markup, which is never escaped again. Made by `html` alone. */
export class Markup {
  readonly text: string;
  constructor(text: string) {
    this.text = text;
  }
}

type Part = string | number | Markup | readonly Part[];

/**
 * HTML from a template. What is put into it is text from outside unless it is markup itself: it is escaped,
 * and control characters and those that turn the direction of text are shown as such.
 */
export const html = (strings: TemplateStringsArray, ...parts: readonly Part[]): Markup =>
  new Markup(strings.reduce((all, text, at) => `${all}${render(parts[at - 1] ?? "")}${text}`));

function render(part: Part): string {
  if (part instanceof Markup) return part.text;
  if (typeof part === "object") return part.map(render).join("");
  return escapeText(String(part)).replaceAll(/[&<>"']/g, (character) => entities[character] ?? "");
}
