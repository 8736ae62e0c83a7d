// The report of `verify` as text for people: notes, problems one a line, a summary. Pure.

import { printable } from '../lib/printable.js';
import { counted } from '../lib/counted.js';
import { humanSize } from '../lib/format-size.js';
import type { VerifyReport } from './verify-image.js';

/** Ends with a line feed. */
export function renderReport(report: VerifyReport): string {
  const lines = report.problems.map(({ message }) => printable(message));
  const more = report.problemCount - report.problems.length;
  if (more > 0) lines.push(`and ${more} more`);
  const name = printable(report.name);
  for (const note of report.notes) {
    const text = printable(note);
    const isNamed = text.startsWith(`${name}: `);
    lines.push(`${name}: note: ${isNamed ? text.slice(name.length + 2) : text}`);
  }
  lines.push(`${name}: ${verdict(report)}; ${amount(report)}`);
  return `${lines.join('\n')}\n`;
}

function verdict({ good, interrupted, problemCount, layers }: VerifyReport): string {
  if (good) return `good: ${counted(layers.length, 'layer')}`;
  const bad = layers.filter((layer) => layer.problemCount > 0).length;
  const where = bad > 0 && layers.length > 1 ? ` in ${bad} of ${layers.length} layers` : '';
  const found = problemCount === 0 ? 'no problem' : counted(problemCount, 'problem');
  return interrupted ? `interrupted: ${found}${where} so far` : `bad: ${found}${where}`;
}

function amount({ checkedBytes, totalBytes, seconds }: VerifyReport): string {
  const whole = checkedBytes < totalBytes ? ` of ${humanSize(totalBytes)}` : '';
  // Of a small image it says more about starting up than about checking.
  const rate = seconds >= 0.1 ? ` (${humanSize(checkedBytes / seconds)}/s)` : '';
  return `${humanSize(checkedBytes)}${whole} checked in ${seconds.toFixed(1)} s${rate}`;
}
