import type { BlobReport } from "../../report/models-report.ts";
import { formatSize } from "../size.ts";
import { html, type Markup } from "./escape.ts";
import { layOut, type Rectangle } from "./treemap-layout.ts";
import { nameOfBlob, shareOf, versionsLabel } from "./blob-labels.ts";

/** Groups and rectangles beyond these are drawn as one: more of them are too small to be seen. */
const maxGroups = 24;
const maxTiles = 60;

/** Width through height of the drawing, about: it is as wide as the page. */
const aspect = 2;

/** A rectangle narrower or lower than this, in percent of the whole drawing, has no room for words. */
const labelPercent = { width: 8, height: 5 };

interface Group {
  label: string;
  share: string;
  size: number;
  blobs: readonly BlobReport[];
}

/** Every stored byte as area, grouped by the versions that have it. Empty for nothing stored. */
export function treemap(blobs: readonly BlobReport[], labels: readonly string[]): Markup {
  const groups = groupsOf(
    blobs.filter(({ size }) => size > 0),
    labels,
  );
  const places = layOut(
    groups.map(({ size }) => size),
    aspect,
  );
  return html`<div class="treemap" role="img" aria-label="${summary(groups)}">
    ${groups.map((group, at) => drawGroup(group, places[at]))}
  </div>`;
}

const summary = (groups: readonly Group[]): string =>
  `Stored bytes by the versions that have them: ${groups
    .map(({ label, size }) => `${label} ${formatSize(size)}`)
    .join(", ")}`;

function drawGroup({ label, share, size, blobs }: Group, place: Rectangle | undefined): Markup {
  const shape = place ?? { left: 0, top: 0, width: 0, height: 0 };
  const shown = blobs.slice(0, maxTiles);
  const rest = blobs.slice(maxTiles).reduce((sum, blob) => sum + blob.size, 0);
  const tiles = shown.map((blob) => ({ name: nameOfBlob(blob), size: blob.size }));
  if (rest > 0) tiles.push({ name: `${blobs.length - maxTiles} smaller blobs`, size: rest });
  tiles.sort((a, b) => b.size - a.size);
  const inside = layOut(
    tiles.map((tile) => tile.size),
    (aspect * shape.width) / Math.max(shape.height, 0.01),
  );
  const drawn = tiles.map((tile, at) => drawTile(tile, inside[at], shape));
  return html`<div class="group" style="${style(shape)}">
    <p title="${label}: ${formatSize(size)}">${label} <span>${formatSize(size)}</span></p>
    <div class="tiles ${share}">${drawn}</div>
  </div> `;
}

function drawTile(
  { name, size }: { name: string; size: number },
  place: Rectangle | undefined,
  group: Rectangle,
): Markup {
  if (place === undefined) return html``;
  const hasRoom =
    (place.width * group.width) / 100 >= labelPercent.width &&
    (place.height * group.height) / 100 >= labelPercent.height;
  const words = hasRoom ? html`<b>${name}</b><br />${formatSize(size)}` : html``;
  return html`<div class="tile" style="${style(place)}" title="${name}: ${formatSize(size)}">
    ${words}
  </div>`;
}

const style = ({ left, top, width, height }: Rectangle): string =>
  `left:${percent(left)};top:${percent(top)};width:${percent(width)};height:${percent(height)}`;

const percent = (value: number): string => `${Number(value.toFixed(3))}%`;

function groupsOf(blobs: readonly BlobReport[], labels: readonly string[]): Group[] {
  const byVersions = new Map<string, BlobReport[]>();
  for (const blob of blobs) {
    const key = blob.versions.join();
    const known = byVersions.get(key);
    if (known === undefined) byVersions.set(key, [blob]);
    else known.push(blob);
  }
  const groups = [...byVersions.values()]
    .map((of) => groupOf(of, labels))
    .toSorted((a, b) => b.size - a.size);
  const rest = groups.slice(maxGroups);
  if (rest.length === 0) return groups;
  const merged: Group = {
    label: `${rest.length} other combinations of versions`,
    share: "some",
    size: sum(rest),
    blobs: rest.flatMap((group) => group.blobs).toSorted((a, b) => b.size - a.size),
  };
  return [...groups.slice(0, maxGroups), merged].toSorted((a, b) => b.size - a.size);
}

function groupOf(blobs: readonly BlobReport[], labels: readonly string[]): Group {
  const versions = blobs[0]?.versions ?? [];
  return {
    label: versionsLabel(versions, labels),
    share: shareOf(versions, labels.length),
    size: sum(blobs),
    blobs,
  };
}

const sum = (items: readonly { size: number }[]): number =>
  items.reduce((total, { size }) => total + size, 0);
