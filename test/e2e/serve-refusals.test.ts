// The command line from outside: help, exit codes, and errors for images that cannot be served.
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { runDaemon, shortFolder } from '../support/daemon-process.js';
import { writeDemoImage } from '../support/demo-image.js';
import { writeRaw } from '../support/e2e-images.js';

t.setTimeout(900_000);
const folder = shortFolder(t);
const demo = writeDemoImage(folder);
const path = (name: string): string => join(folder, name);
writeRaw(path('raw.img'), 3, 5000);

await t.test('an image that cannot be served is an error that names it', async (test) => {
  writeFileSync(path('bad.json'), '{"exports": {"a": 5}}');
  writeFileSync(path('typo.json'), '{"export": {"a": "b"}}');
  writeFileSync(path('broken.json'), '{');
  writeFileSync(path('empty'), '');
  writeFileSync(path('gone.config.json'), '{"lowers": [{"file": "no-such-layer"}]}');
  const listen = ['--listen', `unix://${path('refused.sock')}`];
  const cases: [string[], number, RegExp][] = [
    [['serve', ...listen], 2, /nothing to serve/],
    [['serve', '/no/such/file', ...listen], 1, /\/no\/such\/file/],
    [['serve', path('empty'), ...listen], 1, /empty/],
    [['serve', folder, ...listen], 1, new RegExp(folder)],
    [['serve', path('gone.config.json'), ...listen], 1, /no-such-layer/],
    [['serve', '-e', `a=${demo.config}`, '-e', `a=${path('raw.img')}`, ...listen], 2, /named "a"/],
    [['serve', '-e', 'novalue', ...listen], 2, /"novalue": not NAME=IMAGE/],
    [['serve', '-e', `${'n'.repeat(5000)}=${demo.config}`, ...listen], 2, /4096/],
    [['serve', '--config', '/no/such.json', ...listen], 2, /\/no\/such\.json/],
    [['serve', '--config', path('bad.json'), ...listen], 2, /bad\.json.*exports/s],
    [['serve', '--config', path('typo.json'), ...listen], 2, /typo\.json.*export/s],
    [['serve', '--config', path('broken.json'), ...listen], 2, /broken\.json/],
    [['serve', demo.config, '--listen', 'ftp://x'], 2, /ftp:\/\/x/],
    [['serve', demo.config, '--listen', 'unix:///no/such/folder/s'], 1, /\/no\/such\/folder\/s/],
    [['serve', demo.config, '--listen', `unix:///tmp/${'x'.repeat(200)}`], 1, /too long/],
    [['serve', demo.config, '--listen', 'tcp://192.0.2.1:0'], 1, /192\.0\.2\.1.*no such address/],
    [['serve', demo.config, '--nonsense', ...listen], 2, /nonsense/],
    [['serve', demo.config, '--log-level', 'loud', ...listen], 2, /log-level/],
    [['nonsense'], 2, /nonsense/],
    [[], 2, /command/],
  ];
  const results = await inTwos(
    cases.map(
      ([args]) =>
        () =>
          runDaemon(args),
    ),
  );
  for (const [i, [args, code, message]] of cases.entries()) {
    const what = args.join(' ').slice(0, 60);
    test.equal(results[i]?.code, code, what);
    test.match(results[i]?.stderr, message, what);
    test.notMatch(
      results[i]?.stderr,
      /\.js:\d+|node:internal/,
      'a message for people, without a stack',
    );
  }
  test.notOk(existsSync(path('refused.sock')), 'no socket file stays');
});

await t.test('every command has --help', async (test) => {
  const { code, stdout } = await runDaemon(['--help']);
  test.equal(code, 0);
  const commands = [...stdout.matchAll(/^ {2}overlaybd-nbd (\w+)/gm)].map(([, name]) => name ?? '');
  test.ok(commands.includes('serve'), commands.join(' '));
  const helps = await inTwos(commands.map((name) => () => runDaemon([name, '--help'])));
  for (const [i, help] of helps.entries()) {
    test.match(help, { code: 0, stderr: '' }, `${commands[i]} --help`);
    test.match(help.stdout, new RegExp(`overlaybd-nbd ${commands[i]}`));
  }
});

/** Two at a time: each process needs a core. */
async function inTwos<T>(tasks: readonly (() => Promise<T>)[]): Promise<T[]> {
  const results: T[] = [];
  for (let i = 0; i < tasks.length; i += 2) {
    results.push(...(await Promise.all(tasks.slice(i, i + 2).map((task) => task()))));
  }
  return results;
}
