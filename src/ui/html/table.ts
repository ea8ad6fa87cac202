import { html, type Markup } from "./escape.ts";

/** A table in a region that scrolls where the page is narrow. */
export const table = (head: Markup, rows: readonly Markup[], label: string): Markup =>
  html`<div class="scroll" tabindex="0" role="region" aria-label="${label}">
    <table>
      <thead>
        <tr>
          ${head}
        </tr>
      </thead>
      <tbody>
        ${rows}
      </tbody>
    </table>
  </div>`;
