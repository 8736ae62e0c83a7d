// Writes results into docs/benchmarks: a section of its README, charts and JSON. It measures nothing.
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const PROJECT = fileURLToPath(new URL('../../../', import.meta.url));
const FOLDER = join(PROJECT, 'docs', 'benchmarks');

/** Sections of the README, each between its own marks. */
export type Section = 'load' | 'micro' | 'registry' | 'formats' | 'soak';

export interface Document {
  section: Section;
  /** Tables with the text before them. */
  markdown: string;
  /** File names without the ending, with title and SVG text. */
  charts: readonly Chart[];
  /** The content of section.json. */
  data: object;
}

export interface Chart {
  name: string;
  title: string;
  svg: string;
}

/** @throws Error if the README has no such marks, or if the formatter fails */
export function writeDocument({ section, markdown, charts, data }: Document): void {
  const readme = join(FOLDER, 'README.md');
  const [begin, end] = [`<!-- BEGIN ${section} -->`, `<!-- END ${section} -->`];
  const before = readFileSync(readme, 'utf8');
  const [from, to] = [before.indexOf(begin), before.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${readme}: no marks "${begin}" and "${end}"`);
  const images = charts.map(({ name, title }) => `![${title}](${name}.svg)`);
  const body = [...images, markdown].join('\n\n');
  const written = [join(FOLDER, `${section}.json`), readme];
  writeFileSync(readme, `${before.slice(0, from)}${begin}\n\n${body}\n\n${before.slice(to)}`);
  writeFileSync(join(FOLDER, `${section}.json`), `${JSON.stringify(data, null, 2)}\n`);
  for (const { name, svg } of charts) writeFileSync(join(FOLDER, `${name}.svg`), svg);
  const { status, stderr } = spawnSync('npx', ['prettier', '--write', ...written], {
    cwd: PROJECT,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`prettier: exit ${status}: ${stderr}`);
}
