// The code caches of the bundle: used if they match, and never required.
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { test } from 'tap';
import { writeCodeCache } from '../../../daemon/bundle/code-cache.js';
import { bundleOf, compileProgram, readProgram } from '../../../daemon/bundle/compile.js';

const BUNDLE = fileURLToPath(new URL('../../../bundle/', import.meta.url));

await test('code caches of the build match the modules that they were made from', (t) => {
  for (const name of ['main.js', 'main.rest.js', 'reactor/worker.js', 'fetch/worker.js']) {
    const entry = join(BUNDLE, name);
    const origin = readFileSync(bundleOf(entry).cache, 'latin1').split('\n', 1)[0] ?? '';
    // The Node.js that built it may not be the one that runs the test.
    const isOurs = origin.includes(` ${process.version} `);
    const { script } = compileProgram(readProgram(entry));
    t.equal(script.cachedDataRejected, isOurs ? false : undefined, `${name}: ${origin}`);
  }
  t.end();
});

await test('a cache that does not match is ignored, and the source is compiled', (t) => {
  const entry = join(t.testdir({}), 'main.js');
  const { text, cache } = bundleOf(entry);
  const built = bundleOf(join(BUNDLE, 'main.js'));
  copyFileSync(built.text, text);
  const compiled = compileProgram(readProgram(entry));
  writeCodeCache(cache, compiled.id, compiled.script.createCachedData());
  const good = readFileSync(cache);
  /** @returns undefined if V8 was given no cache */
  const rejected = (bytes: Buffer): boolean | undefined => {
    writeFileSync(cache, bytes);
    return compileProgram(readProgram(entry)).script.cachedDataRejected;
  };
  t.equal(rejected(good), false);
  const head = good.indexOf('\n') + 1;
  const origin = good.toString('latin1', 0, head);
  const withOrigin = (from: string, to: string): Buffer => {
    t.ok(origin.includes(from), from);
    return Buffer.concat([Buffer.from(origin.replace(from, to)), good.subarray(head)]);
  };
  const [bundleId = '', version = '', arch = '', v8 = '', size = '', sum = ''] = origin.split(' ');
  for (const [what, bytes] of [
    ['of another bundle', withOrigin(bundleId, bundleId.replace(/^./, 'x'))],
    ['of another Node', withOrigin(version, `${version}1`)],
    ['of another architecture', withOrigin(` ${arch} `, ' mips ')],
    ['of another V8', withOrigin(` ${v8} `, ' 1 ')],
    ['of another build of Node', withOrigin(` ${size} `, ' 1 ')],
    ['with another checksum', withOrigin(sum, `${'0'.repeat(64)}\n`)],
    ['without a first line', good.subarray(head)],
    ['with the first line only', good.subarray(0, head)],
    ['with a byte after its end', Buffer.concat([good, Buffer.alloc(1)])],
    ['of zeros', Buffer.alloc(good.length)],
    ['empty', Buffer.alloc(0)],
  ] as const) {
    t.equal(rejected(bytes), undefined, what);
  }
  const steps = Array.from({ length: 24 }, (_, i) => Math.floor((good.length * i) / 24));
  for (const at of steps) t.equal(rejected(good.subarray(0, at)), undefined, `cut at ${at}`);
  for (const at of steps) {
    const holed = Buffer.from(good);
    holed.fill(0, at, at + 4096);
    t.equal(rejected(holed), undefined, `a hole at ${at}`);
    const flipped = Buffer.from(good);
    flipped[at]! ^= 1;
    t.equal(rejected(flipped), undefined, `a bit at ${at}`);
  }
  rmSync(cache);
  t.equal(compileProgram(readProgram(entry)).script.cachedDataRejected, undefined, 'missing');
  t.end();
});
