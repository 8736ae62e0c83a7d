// Lines over one axis, which may be logarithmic. It does not know their meaning.
import {
  CHART_WIDTH,
  dot,
  line,
  LINE_COLOURS,
  niceCeiling,
  polyline,
  readable,
  svgPage,
  text,
} from './svg.js';

export interface Series {
  label: string;
  points: readonly (readonly [x: number, y: number])[];
}

export interface Axes {
  x: string;
  y: string;
  /** Where the horizontal axis has numbers. */
  ticks: readonly number[];
  logarithmic: boolean;
}

const TOP = 62;
const PLOT_HEIGHT = 260;
const LEFT = 70;
const RIGHT = 44;
const GRID_LINES = 5;
/** Lines with more points than this have no dots. */
const DOTS = 30;

/** @param series at most as many as there are colours */
export function lineChart(title: string, axes: Axes, series: readonly Series[]): string {
  if (series.length > LINE_COLOURS) throw new RangeError(`chart of ${series.length} lines`);
  const points = series.flatMap((each) => each.points);
  const place = axes.logarithmic ? Math.log10 : (value: number) => value;
  const xs = [...points.map(([x]) => x), ...axes.ticks].map(place);
  const [first, last] = [Math.min(...xs), Math.max(...xs)];
  const top = niceCeiling(Math.max(...points.map(([, y]) => y)));
  const bottom = TOP + PLOT_HEIGHT;
  const xOf = (x: number): number =>
    LEFT + ((place(x) - first) / (last - first || 1)) * (CHART_WIDTH - LEFT - RIGHT);
  const yOf = (y: number): number => bottom - (y / top) * PLOT_HEIGHT;

  const parts: string[] = [];
  for (let i = 0; i <= GRID_LINES; i++) {
    const value = (top * i) / GRID_LINES;
    const kind = i === 0 ? 'axis' : 'grid';
    parts.push(line(LEFT, yOf(value), CHART_WIDTH - RIGHT, yOf(value), kind));
    parts.push(text(LEFT - 8, yOf(value) + 4, readable(value), 'end'));
  }
  for (const tick of axes.ticks) {
    parts.push(line(xOf(tick), bottom, xOf(tick), bottom + 5, 'axis'));
    parts.push(text(xOf(tick), bottom + 20, readable(tick), 'middle'));
  }
  parts.push(text((LEFT + CHART_WIDTH - RIGHT) / 2, bottom + 40, axes.x, 'middle'));
  parts.push(text(8, TOP - 12, axes.y, 'start'));
  series.forEach(({ label, points: own }, i) => {
    const places = own.map(([x, y]) => [xOf(x), yOf(y)] as const);
    parts.push(polyline(places, `line line${i}`));
    if (own.length <= DOTS) parts.push(...places.map(([x, y]) => dot(x, y, `dot${i}`)));
    const legend = CHART_WIDTH - RIGHT - (series.length - i) * 170;
    parts.push(line(legend, TOP - 16, legend + 18, TOP - 16, `line line${i}`));
    parts.push(text(legend + 24, TOP - 12, label, 'start'));
  });
  return svgPage(title, bottom + 52, parts);
}
