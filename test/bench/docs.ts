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
  /** What the project's README shows of it. */
  summary?: string;
}

export interface Chart {
  name: string;
  title: string;
  svg: string;
}

/** @throws Error if a README has no such marks, or if the formatter fails */
export function writeDocument({ section, markdown, charts, data, summary }: Document): void {
  const readme = join(FOLDER, 'README.md');
  const images = charts.map(({ name, title }) => `![${title}](${name}.svg)`);
  const written = [join(FOLDER, `${section}.json`), readme];
  replacePart(readme, section, [...images, markdown].join('\n\n'));
  if (summary !== undefined) {
    const first = join(PROJECT, 'README.md');
    replacePart(first, section, summary);
    written.push(first);
  }
  writeFileSync(join(FOLDER, `${section}.json`), `${JSON.stringify(data, null, 2)}\n`);
  for (const { name, svg } of charts) writeFileSync(join(FOLDER, `${name}.svg`), svg);
  const { status, stderr } = spawnSync('npx', ['prettier', '--write', ...written], {
    cwd: PROJECT,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`prettier: exit ${status}: ${stderr}`);
}

function replacePart(path: string, section: Section, text: string): void {
  const [begin, end] = [`<!-- BEGIN ${section} -->`, `<!-- END ${section} -->`];
  const before = readFileSync(path, 'utf8');
  const [from, to] = [before.indexOf(begin), before.indexOf(end)];
  if (from < 0 || to < from) throw new Error(`${path}: no marks "${begin}" and "${end}"`);
  writeFileSync(path, `${before.slice(0, from)}${begin}\n\n${text}\n\n${before.slice(to)}`);
}
