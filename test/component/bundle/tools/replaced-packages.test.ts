// What the bundle has instead of parts of packages: enough for the packages that use them.
import { createRequire } from 'node:module';
import { Transform, Writable } from 'node:stream';
import { compileFunction } from 'node:vm';
import { build } from 'esbuild';
import { test } from 'tap';
import { replacedPackages } from '../../../../daemon/bundle/tools/replaced-packages.js';

/** The value of a module that is bundled with the replacements. */
async function bundled(code: string): Promise<unknown> {
  const { outputFiles, warnings } = await build({
    stdin: { contents: code, resolveDir: process.cwd() },
    bundle: true,
    platform: 'node',
    format: 'cjs',
    write: false,
    define: { 'import.meta.url': 'moduleUrl' },
    plugins: [replacedPackages],
  });
  if (warnings.length > 0) throw new Error(JSON.stringify(warnings));
  const module: { exports: unknown } = { exports: null };
  const run = compileFunction(outputFiles[0]?.text ?? '', ['module', 'require', 'moduleUrl']);
  run(module, createRequire(import.meta.url), import.meta.url);
  return module.exports;
}

await test('streams are those of Node.js', async (t) => {
  t.equal(await bundled(`module.exports = require('readable-stream').Transform`), Transform);
  const writable = `module.exports = require('readable-stream/lib/_stream_writable.js')`;
  t.equal(await bundled(writable), Writable);
});

await test('winston logs, and writes nothing about itself', async (t) => {
  const lines = await bundled(`
    process.env.DEBUG = '*';
    const { createLogger, format, transports } = require('winston');
    const lines = [];
    const stream = new (require('node:stream').Writable)({
      write: (chunk, _encoding, done) => { lines.push(String(chunk)); done(); },
    });
    const logger = createLogger({
      level: 'info',
      format: format.printf(({ message }) => message),
      transports: [new transports.Stream({ stream, eol: '\\n' })],
    });
    logger.log({ level: 'info', message: 'one %s', splat: 1 });
    logger.log({ level: 'debug', message: 'two' });
    logger.log({ level: 'warn', message: 'three' });
    delete process.env.DEBUG;
    module.exports = lines;`);
  t.same(lines, ['one %s\n', 'three\n']);
});

await test('yargs parses, checks, and measures its help text', async (t) => {
  const parsed = await bundled(`
    import yargs from 'yargs';
    const parser = yargs([]).scriptName('x').version('1.2').exitProcess(false)
      .command('$0 <name>', 'does it', (each) => each.option('level', { type: 'number' }));
    const texts = [];
    const parse = (words) => parser.parse(words, {}, (_error, _args, text) => texts.push(text));
    const { name, level } = parse(['a', '--level', '3']);
    parse(['--version']);
    parse(['--help']);
    module.exports = { name, level, texts };`);
  const { name, level, texts } = parsed as { name: string; level: number; texts: string[] };
  t.same([name, level], ['a', 3]);
  t.equal(texts[1], '1.2');
  t.match(texts[2], /^x <name>\n\ndoes it\n/);
  t.match(texts[2], / {2}--level +\[number\]\n?/);
});

await test('an assertion of yargs that does not hold is an error', async (t) => {
  const check = (await bundled(`module.exports = require('assert')`)) as Record<
    'strictEqual' | 'notStrictEqual',
    (actual: unknown, expected: unknown) => void
  >;
  check.strictEqual(1, 1);
  check.notStrictEqual(1, 2);
  t.throws(() => check.strictEqual(1, 2), /assertion/);
  t.throws(() => check.notStrictEqual(1, 1), /assertion/);
  t.end();
});
