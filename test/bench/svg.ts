// The parts of charts: SVG text that is readable on light and dark pages. It is not a chart itself.

/** Of a chart, in user units, which browsers show as pixels. */
export const CHART_WIDTH = 860;

/** Medium colours: they contrast with white and with black. */
const STYLE = `
    text { font: 13px system-ui, sans-serif; fill: #57606a; }
    .title { font-size: 15px; font-weight: 600; }
    .axis { stroke: #8c959f; stroke-width: 1; }
    .grid { stroke: #8c959f; stroke-width: 1; opacity: 0.25; }
    .whisker { stroke: #57606a; stroke-width: 1.5; }
    .ours { fill: #2f81f7; }
    .yardstick { fill: #d29922; }
    .peer { fill: #8c959f; }
    .line { fill: none; stroke-width: 2; }
    .line0 { stroke: #2f81f7; } .dot0 { fill: #2f81f7; }
    .line1 { stroke: #d29922; } .dot1 { fill: #d29922; }
    .line2 { stroke: #3fb950; } .dot2 { fill: #3fb950; }
    .line3 { stroke: #a371f7; } .dot3 { fill: #a371f7; }
    @media (prefers-color-scheme: dark) { text { fill: #adbac7; } .whisker { stroke: #adbac7; } }
  `;

/** How many lines {@link STYLE} has colours for. */
export const LINE_COLOURS = 4;

export function svgPage(title: string, height: number, parts: readonly string[]): string {
  const size = `width="${CHART_WIDTH}" height="${height}" viewBox="0 0 ${CHART_WIDTH} ${height}"`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" ${size} role="img">`,
    `  <title>${escape(title)}</title>`,
    `  <style>${STYLE}</style>`,
    `  ${text(8, 22, title, 'start', 'title')}`,
    ...parts.map((part) => `  ${part}`),
    '</svg>',
    '',
  ].join('\n');
}

export type Anchor = 'start' | 'middle' | 'end';

export function text(x: number, y: number, what: string, anchor: Anchor, kind = ''): string {
  const kinds = kind === '' ? '' : ` class="${kind}"`;
  return `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}"${kinds}>${escape(what)}</text>`;
}

export function rect(x: number, y: number, width: number, height: number, kind: string): string {
  const size = `width="${round(width)}" height="${round(height)}"`;
  return `<rect x="${round(x)}" y="${round(y)}" ${size} class="${kind}" />`;
}

export function line(x1: number, y1: number, x2: number, y2: number, kind: string): string {
  const ends = `x1="${round(x1)}" y1="${round(y1)}" x2="${round(x2)}" y2="${round(y2)}"`;
  return `<line ${ends} class="${kind}" />`;
}

export function polyline(points: readonly (readonly [number, number])[], kind: string): string {
  const places = points.map(([x, y]) => `${round(x)},${round(y)}`).join(' ');
  return `<polyline points="${places}" class="${kind}" />`;
}

export function dot(x: number, y: number, kind: string): string {
  return `<circle cx="${round(x)}" cy="${round(y)}" r="3" class="${kind}" />`;
}

/** The next number above that is 1, 2, 2.5 or 5 times a power of ten: the end of an axis. */
export function niceCeiling(value: number): number {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return ([1, 2, 2.5, 5, 10].find((step) => step * power >= value) ?? 10) * power;
}

/** Whole numbers with thin spaces, small ones with three digits. */
export function readable(value: number): string {
  if (Math.abs(value) >= 1000) return value.toFixed(0).replace(/\B(?=(\d{3})+$)/g, '\u2009');
  return Number(value.toPrecision(3)).toString();
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}

function escape(what: string): string {
  return what.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
}
