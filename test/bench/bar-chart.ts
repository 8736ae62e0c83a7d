// Horizontal bars with whiskers from the least to the greatest value. It knows no servers.
import { CHART_WIDTH, line, readable, rect, svgPage, text } from './svg.js';

export interface Bar {
  label: string;
  value: number;
  min: number;
  max: number;
  /** Text after the value: "1.54 x". */
  note: string;
  /** A class of the style sheet in svg.ts. */
  kind: 'ours' | 'yardstick' | 'peer';
}

const TOP = 40;
const ROW = 28;
const BAR = 18;
const LABELS = 270;
/** Space for value and note. */
const RIGHT = 190;

export function barChart(title: string, bars: readonly Bar[]): string {
  const longest = Math.max(...bars.map(({ max }) => max));
  const scale = (CHART_WIDTH - LABELS - RIGHT) / longest;
  const parts = bars.flatMap(({ label, value, min, max, note, kind }, i) => {
    const y = TOP + i * ROW;
    const middle = y + BAR / 2;
    const [from, to] = [LABELS + min * scale, LABELS + max * scale];
    return [
      text(LABELS - 10, middle + 4, label, 'end'),
      rect(LABELS, y, value * scale, BAR, kind),
      line(from, middle, to, middle, 'whisker'),
      line(from, middle - 4, from, middle + 4, 'whisker'),
      line(to, middle - 4, to, middle + 4, 'whisker'),
      text(Math.max(to, LABELS) + 10, middle + 4, `${readable(value)}  (${note})`, 'start'),
    ];
  });
  const bottom = TOP + bars.length * ROW;
  return svgPage(title, bottom + 8, [...parts, line(LABELS, TOP - 6, LABELS, bottom - 4, 'axis')]);
}
