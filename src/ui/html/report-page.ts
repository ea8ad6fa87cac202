import { shortDigest } from "../../oci/digest.ts";
import type { ModelsReport, VersionReport } from "../../report/models-report.ts";
import { formatSize } from "../size.ts";
import { html, Markup } from "./escape.ts";
import { style } from "./style.ts";
import { filesSection } from "./files-section.ts";
import { table } from "./table.ts";
import { treemap } from "./treemap.ts";
import { nameOfBlob, versionsLabel } from "./blob-labels.ts";

/** Rows of the table of blobs: a model may have tens of thousands of files. */
const maxRows = 1000;

/** No script runs, and nothing is fetched, whatever the names in the page are. */
const policy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

/** One HTML page that needs no other file and no network. */
export function reportPage(view: ModelsReport): string {
  const title = `${view.models.join(", ")}: weights report`;
  const labels = uniqueLabels(view.versions);
  const page = html`<!doctype html>
    <html lang="en">
      <head>
        <meta charset="utf-8" />
        <meta http-equiv="Content-Security-Policy" content="${new Markup(policy)}" />
        <meta name="generator" content="ocibundle" />
        <meta name="viewport" content="width=device-width, initial-scale=1" />
        <meta name="color-scheme" content="light dark" />
        <title>${title}</title>
        <style>
          ${new Markup(style)}
        </style>
      </head>
      <body>
        <main>
          <h1>${view.models.join(", ")}</h1>
          ${facts(view)} ${notes(view)} ${versionsSection(view, labels)}
          ${filesSection(view, labels)} ${storageSection(view, labels)}
          ${updatesSection(view, labels)}
        </main>
        <footer class="dim">
          Made by ocibundle. Sizes are those of the stored blobs, each blob counted once.
        </footer>
      </body>
    </html> `;
  return page.text;
}

/** Tags, or whole references where two versions have the same tag. */
function uniqueLabels(versions: readonly VersionReport[]): string[] {
  const labels = versions.map(({ label }) => label);
  return versions.map(({ name, label }) =>
    labels.indexOf(label) === labels.lastIndexOf(label) ? label : name.replace(/@sha256:.*$/, ""),
  );
}

function facts({ versions, size }: ModelsReport): Markup {
  const apart = versions.reduce((sum, version) => sum + version.size, 0);
  const saved = apart === 0 ? 0 : Math.round((1 - size / apart) * 100);
  const items: [string, string][] = [
    [String(versions.length), versions.length === 1 ? "version" : "versions"],
    [formatSize(size), "stored"],
    [formatSize(apart), "if nothing was shared"],
    [`${saved} %`, "saved by sharing"],
  ];
  return html`<ul class="facts">
    ${items.map(([value, what]) => html`<li><b>${value}</b> ${what}</li>`)}
  </ul>`;
}

function notes({ broken, leftOut }: ModelsReport): Markup {
  const left =
    leftOut === 0
      ? html``
      : html`<p class="warning">
          ${leftOut} older ${leftOut === 1 ? "tag is" : "tags are"} not in this report. Use
          <code>--last</code> to include more.
        </p>`;
  const bad = broken.map(
    ({ name, message }) => html`<p class="warning"><b>${name}</b> cannot be read: ${message}</p>`,
  );
  return html`${left}${bad}`;
}

function versionsSection({ versions }: ModelsReport, labels: readonly string[]): Markup {
  const largest = Math.max(1, ...versions.map(({ size }) => size));
  const rows = versions.map((version, at) => {
    const { digest, type, format, created, size, own, files, weights, unlisted } = version;
    const isUnknown = unlisted && files === 0;
    const kind = type === "weights" && format !== null ? `weights (${format})` : type;
    const bar = html`<div
      class="bar"
      title="${formatSize(own)} own, ${formatSize(size - own)} shared"
    >
      <i class="one" style="width:${share(own, largest)}"></i
      ><i class="all" style="width:${share(size - own, largest)}"></i>
    </div>`;
    return html`<tr>
      <td class="name">
        <b>${labels[at] ?? ""}</b><br /><code class="dim">${shortDigest(digest)}</code>
      </td>
      <td>${kind}</td>
      <td>${created?.slice(0, 10) ?? "-"}</td>
      <td>${bar}</td>
      <td class="number">${formatSize(size)}</td>
      <td class="number">${formatSize(own)}</td>
      <td class="number">${formatSize(size - own)}</td>
      <td class="number">${isUnknown ? "?" : files}</td>
      <td class="number">${isUnknown ? "?" : formatSize(weights)}</td>
    </tr> `;
  });
  return html`<section>
    <h2>Versions</h2>
    <p class="dim">
      Stored bytes of each version: its own, and those that it shares with other versions in this
      report.
    </p>
    <ul class="legend">
      <li><i class="one"></i>own</li>
      <li><i class="all"></i>shared</li>
    </ul>
    ${table(
      html`<th>Version</th>
        <th>Type</th>
        <th>Created</th>
        <th>Own and shared</th>
        <th class="number">Stored</th>
        <th class="number">Own</th>
        <th class="number">Shared</th>
        <th class="number">Files</th>
        <th class="number">Weights</th>`,
      rows,
      "Versions",
    )}
  </section>`;
}

function storageSection({ blobs, size }: ModelsReport, labels: readonly string[]): Markup {
  const rows = blobs.slice(0, maxRows).map(
    (blob) =>
      html`<tr>
        <td class="name">${nameOfBlob(blob)}</td>
        <td>${blob.kind}</td>
        <td class="number">${formatSize(blob.size)}</td>
        <td class="name">${versionsLabel(blob.versions, labels)}</td>
        <td><code>${shortDigest(blob.digest)}</code></td>
      </tr> `,
  );
  const rest = blobs.slice(maxRows);
  const more =
    rest.length === 0
      ? html``
      : html`<p class="dim">
          ${rest.length} smaller blobs,
          ${formatSize(rest.reduce((sum, blob) => sum + blob.size, 0))} together, are not listed.
        </p>`;
  const legend =
    labels.length === 1
      ? html``
      : html`<ul class="legend">
          <li><i class="all"></i>in all versions</li>
          <li><i class="some"></i>in several</li>
          <li><i class="one"></i>only in one</li>
        </ul>`;
  return html`<section>
    <h2>Storage</h2>
    <p class="dim">
      ${formatSize(size)} stored. Each rectangle is a blob, with an area proportional to its size;
      blobs are grouped by the versions that contain them.
    </p>
    ${legend} ${treemap(blobs, labels)}
    <details>
      <summary>${blobs.length} blobs as a table</summary>
      ${table(
        html`<th>Content</th>
          <th>Kind</th>
          <th class="number">Size</th>
          <th>Versions</th>
          <th>Digest</th>`,
        rows,
        "Blobs",
      )}
      ${more}
    </details>
  </section>`;
}

function updatesSection({ fetch }: ModelsReport, labels: readonly string[]): Markup {
  if (labels.length < 2) return html``;
  const largest = Math.max(1, ...fetch.flat());
  const rows = labels.map((from, a) => {
    const cells = labels.map((_to, b) => {
      const bytes = fetch[a]?.[b] ?? 0;
      if (a === b) return html`<td class="number same">-</td>`;
      const heat = ((bytes / largest) * 0.45).toFixed(3);
      return html`<td class="number" style="background:rgba(var(--heat),${heat})">
        ${formatSize(bytes)}
      </td>`;
    });
    return html`<tr>
      <th>${from}</th>
      ${cells}
    </tr> `;
  });
  const head = html`<th>from \\ to</th>
    ${labels.map((to) => html`<th class="number">${to}</th>`)}`;
  return html`<section class="heat">
    <h2>Update downloads</h2>
    <p class="dim">
      Bytes of weights and image layers that a node with the version in the row downloads to get the
      version in the column.
    </p>
    ${table(head, rows, "Downloads between versions")}
  </section>`;
}

const share = (part: number, whole: number): string => `${((part / whole) * 100).toFixed(2)}%`;
