/** Files in one text: a comment, then `-- NAME --` lines, each followed by that file's content. */
export interface Archive {
  comment: string;
  files: ArchiveFile[];
}

export interface ArchiveFile {
  name: string;
  /** Ends in a newline unless it is empty. */
  content: string;
}

const marker = /^-- (.+) --$/;

/** Reads the format; every text is an archive, if only a comment. */
export function parseArchive(text: string): Archive {
  const archive: Archive = { comment: "", files: [] };
  const lines = text.split("\n");
  if (lines.at(-1) === "") lines.pop();
  let current: ArchiveFile | undefined;
  for (const line of lines) {
    const name = marker.exec(line.replace(/\r$/, ""))?.[1]?.trim();
    if (name !== undefined && name !== "") {
      current = { name, content: "" };
      archive.files.push(current);
    } else if (current === undefined) archive.comment += `${line}\n`;
    else current.content += `${line}\n`;
  }
  return archive;
}

/** Writes the format. Content must not have lines that look like markers. */
export const formatArchive = ({ comment, files }: Archive): string =>
  comment + files.map(({ name, content }) => `-- ${name} --\n${content}`).join("");
