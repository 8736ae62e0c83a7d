// Makes the files of a package other than the program, man pages and completion, in out/share. Part of `npm pack` and of
// `npm run package:deb`.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { commandFacts } from './commands.js';
import { bashCompletion, zshCompletion } from './completion.js';
import { manPages } from './man-pages.js';

const ROOT = fileURLToPath(new URL('../../..', import.meta.url));
const SHARE = join(ROOT, 'out/share');

const text = (path: string): string => readFileSync(join(ROOT, path), 'utf8');
const { version } = JSON.parse(text('package.json')) as { version: string };
const commands = await commandFacts();
const docs = { cli: text('docs/cli.md'), configuration: text('docs/configuration.md') };
const date = /^## (\S+) \((\S+)\)$/m.exec(text('CHANGELOG.md'))?.[2] ?? '';

rmSync(SHARE, { recursive: true, force: true });
for (const [name, page] of manPages(docs, commands, { version, date })) {
  write(`man/man${name.at(-1) ?? ''}/${name}`, page);
}
write('bash-completion/completions/overlaybd-nbd', bashCompletion(commands));
write('zsh/site-functions/_overlaybd-nbd', zshCompletion(commands));

function write(path: string, content: string): void {
  const file = join(SHARE, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, content);
}
