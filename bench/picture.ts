/** Draws bars as an SVG that can be read on light and on dark pages. */
import type { Bar } from "./measurement.ts";

export interface Panel {
  readonly title: string;
  readonly bars: readonly Bar[];
}

const WIDTH = 760;
const BARS_FROM = 270;
const LONGEST = 400;
const ROW = 26;
const HEADING = 44;

const STYLE = `
    text { font: 13px system-ui, sans-serif; fill: #24292f; }
    .title { font-weight: 600; }
    .name, .value { text-anchor: end; }
    .ours { fill: #1a7f5a; }
    .other { fill: #8c959f; }
    .one { stroke: #24292f; stroke-dasharray: 3 3; opacity: 0.6; }
    @media (prefers-color-scheme: dark) {
      text { fill: #e6edf3; }
      .ours { fill: #3fb98a; }
      .other { fill: #7d8590; }
      .one { stroke: #e6edf3; }
    }
  `;

/** Each panel has a scale of its own, and a line where its bars are as long as the floor's. */
export function draw(panels: readonly Panel[]): string {
  const parts: string[] = [];
  let top = 0;
  for (const { title, bars } of panels) {
    const scale = LONGEST / Math.max(1, ...bars.map(({ ratio }) => ratio));
    parts.push(text(16, top + 28, title, "title"));
    top += HEADING;
    const bottom = top + bars.length * ROW;
    for (const { name, ratio } of bars) {
      const kind = /^(?:Introspect|BatchIntrospect)/.test(name) ? "ours" : "other";
      const width = round(ratio * scale);
      parts.push(text(BARS_FROM - 10, top + 17, name, "name"));
      parts.push(`<rect class="${kind}" x="${BARS_FROM}" y="${top + 4}" width="${width}" height="${ROW - 8}" rx="2"/>`);
      parts.push(text(WIDTH - 16, top + 17, `${ratio.toFixed(ratio < 0.1 ? 3 : 2)} ×`, "value"));
      top += ROW;
    }
    const one = round(BARS_FROM + scale);
    parts.push(`<line class="one" x1="${one}" y1="${bottom - bars.length * ROW}" x2="${one}" y2="${bottom}"/>`);
  }
  const height = top + 16;
  const label = panels.map(({ title }) => title).join("; ");
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(label)}">`,
    `  <style>${STYLE}</style>`,
    ...parts.map((part) => `  ${part}`),
    "</svg>",
    "",
  ].join("\n");
}

function text(x: number, y: number, content: string, kind: string): string {
  return `<text class="${kind}" x="${round(x)}" y="${y}">${escaped(content)}</text>`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escaped(content: string): string {
  return content.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
