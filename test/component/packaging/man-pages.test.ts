// Man pages from docs/: every command has one, man reports no problems, and Markdown that cannot be converted is an
// error.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { COMMANDS } from '../../../daemon/cli/commands.js';
import { commandFacts } from '../../../systemd/packaging/commands.js';
import { manPages } from '../../../systemd/packaging/man-pages.js';
import { roffOf } from '../../../systemd/packaging/roff.js';
import { requireTool, runTool } from '../../support/tools.js';

const doc = (name: string): string =>
  readFileSync(new URL(`../../../../docs/${name}`, import.meta.url), 'utf8');
const docs = { cli: doc('cli.md'), configuration: doc('configuration.md') };
const commands = await commandFacts();
const release = { version: '1.2.3', date: '2026-01-02' };

await t.test('there is a page for each command, and one for daemon.json', async (test) => {
  const pages = manPages(docs, commands, release);
  const names = COMMANDS.map(({ usage }) => `overlaybd-nbd-${usage.split(' ', 1)[0] ?? ''}.1`);
  test.same(
    [...pages.keys()].toSorted(),
    ['overlaybd-nbd.1', 'overlaybd-nbd.json.5', ...names].toSorted(),
  );
  const serve = pages.get('overlaybd-nbd-serve.1') ?? '';
  test.match(serve, '.TH "OVERLAYBD\\-NBD\\-SERVE" "1" "2026\\-01\\-02" "overlaybd\\-nbd 1.2.3"\n');
  for (const title of [
    'NAME',
    '"SYNOPSIS"',
    '"DESCRIPTION"',
    '"OPTIONS"',
    '"EXIT CODES"',
    '"EXAMPLES"',
  ]) {
    test.match(serve, `\n.SH ${title}\n`);
  }
  test.match(serve, '.TP\n\\fB\\-s\\fR, \\fB\\-\\-stdio\\fR\n');

  const cp = commands.find(({ name }) => name === 'cp');
  test.match(cp, {
    usage: 'cp <image> <path..> <dest>',
    describe: /^copy files and folders of an image to this machine$/,
  });

  if (!requireTool(test, 'man')) return;
  const folder = test.testdir();
  for (const [name, page] of pages) {
    const file = join(folder, name);
    writeFileSync(file, page);
    const { code, stderr } = await runTool('man', ['--warnings', '-Tutf8', '-l', file]);
    test.same({ code, stderr }, { code: 0, stderr: '' }, name);
  }
});

await t.test('a command that docs/cli.md does not describe is an error', (test) => {
  const more = [
    ...commands,
    { name: 'frob', usage: 'frob', describe: 'frobs', options: [], actions: [] },
  ];
  test.throws(() => manPages(docs, more, release), { message: 'docs/cli.md has no section frob' });
  test.end();
});

await t.test('Markdown is converted to roff', (test) => {
  const cases: [string, string][] = [
    ['# A title', '.SH "A TITLE"\n'],
    ['### Less', '.SS "Less"\n'],
    ['a-b \\ `c`\n.d', '.PP\na\\-b \\e \\fBc\\fR\n\\&.d\n'],
    ['*a* **b** [c](d.md) <e>', '.PP\n\\fIa\\fR \\fBb\\fR c <e>\n'],
    ['```\n.x\n```', '.PP\n.RS 4\n.EX\n\\&.x\n.EE\n.RE\n'],
    ['- a\n- b', '.IP \\(bu 4\na\n.IP \\(bu 4\nb\n'],
    ['1. a\n2. b', '.IP 1. 4\na\n.IP 2. 4\nb\n'],
    ['|a|b|\n|-|-|\n|`c`|d|', '.TP\n\\fBc\\fR\nd\n'],
    ['|a|b|e|\n|-|-|-|\n|c|d|f|\n|c|d||', '.TP\nc\nd\n.br\ne: f\n.TP\nc\nd\n'],
    ['a &amp; b "c"', '.PP\na & b "c"\n'],
  ];
  for (const [markdown, roff] of cases) test.equal(roffOf(markdown), roff, markdown);
  test.throws(() => roffOf('![a](b.svg)'), /a man page cannot have this: !\[a\]\(b\.svg\)/);
  test.end();
});
