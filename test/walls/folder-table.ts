// The table of folders in docs/architecture.md, made from rooms.json.

import type { Plan } from './rooms.js';

const BEGIN = '<!-- rooms: made from test/walls/rooms.json by npm run walls:write -->\n';
const END = '<!-- end of rooms -->\n';

/** The document with the table of this plan between its two marks. @throws if they are not there */
export function withFolderTable(document: string, plan: Plan): string {
  const begin = document.indexOf(BEGIN);
  const end = document.indexOf(END, begin);
  if (begin === -1 || end === -1) throw new Error('no marks for the table of folders');
  return document.slice(0, begin + BEGIN.length) + `\n${tableOf(plan)}\n` + document.slice(end);
}

/** As prettier formats it: each column as wide as its widest cell. */
function tableOf({ rooms }: Plan): string {
  const rows = Object.entries(rooms).map(([name, { is, mayImport }]) => [
    `\`daemon/${name}${name.endsWith('.ts') ? '' : '/'}\``,
    is,
    mayImport.join(', ') || 'nothing',
  ]);
  const all = [['folder', 'what it is', 'may import'], ...rows];
  const widths = [0, 1, 2].map((column) => Math.max(...all.map((row) => row[column]?.length ?? 0)));
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join(' | ')} |\n`;
  const [head = [], ...body] = all;
  return line(head) + line(widths.map((width) => '-'.repeat(width))) + body.map(line).join('');
}
