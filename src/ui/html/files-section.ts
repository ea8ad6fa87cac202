import type { FileReport, ModelsReport } from "../../report/models-report.ts";
import { formatSize } from "../size.ts";
import { shareOf, versionsLabel } from "./blob-labels.ts";
import { html, type Markup } from "./escape.ts";
import { table } from "./table.ts";

/** Cells of the table: a model may have tens of thousands of files. At least `minRows` files are listed. */
const maxCells = 5000;
const minRows = 20;

/** A longer table would hide what comes after it, and has to be opened. */
const maxOpenRows = 20;

/** Each weight file in each version: its size, who else has the same, and which of its parts are new there. */
export function filesSection(view: ModelsReport, labels: readonly string[]): Markup {
  const { files, versions } = view;
  if (files.length === 0) return html``;
  const alone = partsAlone(view);
  const count = Math.max(minRows, Math.floor(maxCells / versions.length));
  const rows = files.slice(0, count).map(
    (file) =>
      html`<tr>
        <td class="name">${file.name}</td>
        ${versions.map((version, at) => cell(file, at, { labels, alone, ...version }))}
      </tr> `,
  );
  const more =
    files.length <= count
      ? html``
      : html`<p class="dim">${files.length - count} more files are not listed.</p>`;
  const head = html`<th>File</th>
    ${labels.map((label) => html`<th>${label}</th>`)}`;
  const all = html`${table(head, rows, "Files by version")} ${more}`;
  return html`<section>
    <h2>Files</h2>
    <p class="dim">
      The size of each weight file in each version, and the versions that have the same content. Of
      files in parts, the parts that no other version has are counted.
      ${versions.some(({ unlisted }) => unlisted) ? "“?” is unknown: archives and image layers are not unpacked." : ""}
    </p>
    ${
      files.length <= maxOpenRows
        ? all
        : html`<details>
            <summary>${files.length} files as a table</summary>
            ${all}
          </details>`
    }
  </section>`;
}

interface Column {
  labels: readonly string[];
  alone: ReadonlyMap<string, Amount>;
  unlisted: boolean;
}

function cell({ name, contents }: FileReport, at: number, column: Column): Markup {
  const { labels, alone, unlisted } = column;
  const here = contents.filter(({ versions }) => versions.includes(at));
  // Unknown is not the same as missing.
  if (here.length === 0) return html`<td>${unlisted ? "?" : "-"}</td>`;
  return html`<td>
    ${here.map(({ size, parts, versions }) => {
      const own = alone.get(keyOf(name, at)) ?? { count: 0, size: 0 };
      const detail =
        parts === null || versions.length > 1
          ? versionsLabel(versions, labels)
          : `${own.count} of ${parts} parts only here: ${formatSize(own.size)}`;
      const share = shareOf(versions, labels.length);
      return html`<div class="content">
        <i class="${share}"></i>${formatSize(size)}<br /><span class="dim">${detail}</span>
      </div>`;
    })}
  </td>`;
}

interface Amount {
  count: number;
  size: number;
}

/** Of each file and version, the parts that only this version stores. Sizes in bytes. */
function partsAlone({ blobs }: ModelsReport): Map<string, Amount> {
  const amounts = new Map<string, Amount>();
  for (const { kind, names, size, versions } of blobs) {
    const [only, ...others] = versions;
    if (kind !== "part" || only === undefined || others.length > 0) continue;
    for (const name of names) {
      const known = amounts.get(keyOf(name, only)) ?? { count: 0, size: 0 };
      amounts.set(keyOf(name, only), { count: known.count + 1, size: known.size + size });
    }
  }
  return amounts;
}

const keyOf = (name: string, version: number): string => `${version} ${name}`;
