// The benchmark's charts: their required content, and that no number is broken. Not their look.
import { test } from 'tap';
import { barChart, type Bar } from '../../bench/bar-chart.js';
import { lineChart } from '../../bench/line-chart.js';
import { niceCeiling, readable } from '../../bench/svg.js';

function bar(label: string, value: number): Bar {
  return { label, value, min: value / 2, max: value, note: '1.00 x', kind: 'ours' };
}

await test('bars are as long as their values', (t) => {
  const svg = barChart('a < b & c', [bar('one', 100), bar('half', 50)]);
  const [long = 0, short = 0] = [...svg.matchAll(/<rect [^>]*width="([\d.]+)"/g)].map(([, width]) =>
    Number(width),
  );
  t.equal(short * 2, long);
  t.match(svg, 'a &lt; b &amp; c');
  t.match(svg, '>half<');
  t.notMatch(svg, /NaN|undefined|Infinity/);
  t.end();
});

await test('lines keep their order on both kinds of axis', (t) => {
  const points = [
    [10, 5],
    [100, 10],
    [1000, 0],
  ] as const;
  for (const logarithmic of [true, false]) {
    const axes = { x: 'x', y: 'y', ticks: [10, 1000], logarithmic };
    const svg = lineChart('title', axes, [{ label: 'a line', points }]);
    const places = (/<polyline points="([^"]*)"/.exec(svg)?.[1] ?? '').split(' ');
    const [first, second, third] = places.map((place) => place.split(',').map(Number));
    const middle = ((first?.[0] ?? 0) + (third?.[0] ?? 0)) / 2;
    t.equal(Math.abs((second?.[0] ?? 0) - middle) < 1, logarithmic);
    t.ok((second?.[1] ?? 0) < (first?.[1] ?? 0), 'more is higher');
    t.notMatch(svg, /NaN|undefined|Infinity/);
  }
  const five = Array.from({ length: 5 }, () => ({ label: '', points }));
  t.throws(() => lineChart('', { x: '', y: '', ticks: [], logarithmic: false }, five), RangeError);
  t.end();
});

await test('numbers on axes are readable', (t) => {
  t.same([0, 0.3, 7, 10, 2100].map(niceCeiling), [1, 0.5, 10, 10, 2500]);
  t.same([0, 1.234, 999, 1000, 1234567].map(readable), [
    '0',
    '1.23',
    '999',
    '1\u2009000',
    '1\u2009234\u2009567',
  ]);
  t.end();
});
