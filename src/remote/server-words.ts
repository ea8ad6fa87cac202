/** Of longer words the beginning is shown, in characters. */
const maxWords = 300;

/** What a server says, fit for a message: on one line, without control characters, and not longer than a message. */
export function serverWords(text: string): string {
  const shown = text.replaceAll(/\p{C}+/gu, " ").trim();
  return shown.length > maxWords ? `${shown.slice(0, maxWords)}…` : shown;
}
