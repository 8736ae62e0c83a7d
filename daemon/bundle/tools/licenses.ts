// The licenses of the npm packages that a bundle contains: most of them ask for their text to go with every copy.

import { existsSync, readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';

/** Where esbuild's names of inputs say which package a file belongs to. */
const PACKAGE = /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/;

/**
 * @param inputs files that are in the bundle, relative to `root`
 * @throws Error when a package has no text of its license
 */
export function licensesOf(inputs: Iterable<string>, root: string): string {
  const folders = new Set<string>();
  for (const input of inputs) {
    const [folder] = PACKAGE.exec(input) ?? [];
    if (folder !== undefined) folders.add(folder);
  }
  return [...folders]
    .toSorted()
    .map((folder) => licenseOf(join(root, folder)))
    .join('\n');
}

function licenseOf(folder: string): string {
  const manifest = join(folder, 'package.json');
  const { name, version, license } = JSON.parse(readFileSync(manifest, 'utf8')) as Manifest;
  const file = readdirSync(folder).find((each) => /^licen[cs]e/i.test(each));
  const readme = join(folder, 'README.md');
  const text = file ? readFileSync(join(folder, file), 'utf8') : sectionOf(readme);
  if (text === '') throw new Error(`${folder}: no text of its license`);
  return `--- ${name} ${version} (${license})\n\n${text.trim()}\n`;
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

/** Some packages have their license at the end of the README. */
function sectionOf(readme: string): string {
  if (!existsSync(readme)) return '';
  const [, text = ''] = /^#+ licen[cs]e\n(.*)/ims.exec(readFileSync(readme, 'utf8')) ?? [];
  return text.trim();
}
