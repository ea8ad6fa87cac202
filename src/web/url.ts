import { OcibundleError } from "../errors.ts";
import { isLoopback } from "../http/message/loopback.ts";
import { printableUrl } from "../http/message/message.ts";
import { isSafePath } from "../remote/path.ts";

/** A file at a URL. */
export interface WebAddress {
  /** With its query, which may be a secret. */
  url: URL;
  /** What it is called: the last part of the path. */
  file: string;
}

const scheme = /^https?:\/\//i;

/** Whether a text is the URL of a file on the web. */
export const isWebUrl = (text: string): boolean => scheme.test(text);

/** A URL as it may be shown and locked: without its query, which may be a signature, and its user. */
export function shownUrl(text: string): string {
  return URL.canParse(text) ? printableUrl(new URL(text)) : text.replace(/[?#].*$/s, "");
}

/** Reads the URL of a file. Throws `usage`. */
export function parseWebUrl(text: string): WebAddress {
  const fail = (why: string, hint: string): never => {
    throw new OcibundleError("usage", `"${shownUrl(text)}" ${why}`, { hint });
  };
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined) return fail("is not a URL", "use https://HOST/PATH");
  if (url.username !== "" || url.password !== "") {
    return fail(
      "contains a username or password",
      "use a signed URL, or download the file and use its path",
    );
  }
  url.hash = "";
  let file: string | undefined;
  try {
    file = decodeURIComponent(url.pathname.slice(url.pathname.lastIndexOf("/") + 1));
  } catch {
    file = undefined;
  }
  if (file === undefined || file.includes("/") || !isSafePath(file)) {
    return fail("does not end with a file name", "use the URL of one file: https://HOST/PATH/FILE");
  }
  return { url, file };
}

/** Throws `usage` for plain HTTP to another machine, unless it is allowed. */
export function checkPlain({ url }: WebAddress, plainHttp: boolean): void {
  if (url.protocol === "https:" || plainHttp || isLoopback(url.host)) return;
  throw new OcibundleError("usage", `"${printableUrl(url)}" is plain HTTP`, {
    hint: "use an https URL, or --plain-http",
  });
}
