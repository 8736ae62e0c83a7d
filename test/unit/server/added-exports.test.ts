// The exports that were added while a daemon ran: what is kept, what wins, and a file that cannot be used.
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import { sourceOfWords } from '../../../daemon/image/plan/image-source.js';
import { AddedExports } from '../../../daemon/server/added-exports.js';

const source = (path: string) => sourceOfWords([path]);

async function open(t: Test, path = join(t.testdir(), 'exports.json')) {
  const log: string[] = [];
  const logger = { log: (level: string, text: string) => void log.push(`${level}: ${text}`) };
  return { path, log, added: await AddedExports.open(path, logger) };
}

await test('what was added is there again, in its order', async (t) => {
  const { added, path, log } = await open(t);
  t.notOk(existsSync(path), 'nothing is written for nothing');
  const names = ['web', '', '__proto__', '\u001b[31m"'];
  for (const name of names) added.set(name, source(`/${name.length}`));
  added.set('part', sourceOfWords(['docker://a.example/b:1'], 3));
  const beside = { tocBlob: null, tocDigest: null, ztocs: ['/z', null], objects: '/o' };
  added.set('beside', sourceOfWords(['/c'], null, beside));
  added.set('gone', source('/gone'));
  added.delete('gone');
  t.equal(statSync(path).mode & 0o777, 0o600);
  const again = await open(t, path);
  const kept = again.added.with(new Map());
  t.same([...kept.keys()], [...names, 'part', 'beside']);
  t.same(kept, added.with(new Map()));
  t.same(kept.get('part'), sourceOfWords(['docker://a.example/b:1'], 3));
  t.same(kept.get('beside')?.beside, beside);
  t.same([...log, ...again.log], []);
});

await test('the configuration wins, and the one that was added does not come back', async (t) => {
  const { added, path, log } = await open(t);
  added.set('web', source('/added'));
  added.set('db', source('/db'));
  const configured = new Map([['web', source('/configured')]]);
  t.same(added.with(configured).get('web'), source('/configured'));
  added.settle(configured);
  t.match(log, [/^warn: export "web": the configuration has one of this name now/]);
  t.notOk(added.has('web'));
  t.same([...(await open(t, path)).added.with(new Map()).keys()], ['db']);
});

await test('the configuration wins, also if the file cannot be written', async (t) => {
  const { added, path, log } = await open(t);
  for (const name of ['web', 'db']) added.set(name, source(`/${name}`));
  rmSync(path);
  mkdirSync(path);
  added.settle(new Map([['web', source('/configured')]]));
  t.match(log.at(-1), /^error: .*cannot be kept/);
  t.notOk(added.has('web'), 'so the one of the configuration cannot be removed');
  t.ok(added.has('db'));
});

await test('a file that is wrong keeps no daemon from starting', async (t) => {
  const path = join(t.testdir(), 'exports.json');
  writeFileSync(path, '{"version":1,"exports":[{}]}');
  const { added, log } = await open(t, path);
  t.match(log, [/^error: the exports that were added earlier are not served: .*exports\.json: /]);
  t.equal(readFileSync(path, 'utf8'), '{"version":1,"exports":[{}]}', 'it is left for a look');
  added.set('web', source('/web'));
  t.ok((await open(t, path)).added.has('web'));
});

await test('what cannot be kept does not happen', async (t) => {
  const { added, path } = await open(t);
  added.freeze(true);
  t.throws(() => added.set('a', source('/a')), { code: 'BUSY', message: /another daemon/ });
  added.freeze(false);
  mkdirSync(path);
  t.throws(() => added.set('a', source('/a')), { code: 'IO', message: /cannot be kept/ });
  t.notOk(added.has('a'));
  const many = await open(t, join(t.testdir(), 'many.json'));
  const large = source(`/${'x'.repeat(33 << 20)}`);
  t.throws(() => many.added.set('large', large), { code: 'LIMIT', message: /at most 33554432/ });
});

await test('the number is limited', async (t) => {
  const path = join(t.testdir(), 'exports.json');
  const exports = Array.from({ length: 1024 }, (_, i) => {
    return { name: `${i}`, image: ['/a'], partition: null };
  });
  writeFileSync(path, JSON.stringify({ version: 1, exports }));
  const { added } = await open(t, path);
  added.set('7', source('/b'));
  t.throws(() => added.set('one more', source('/a')), { code: 'LIMIT', message: /^1024 exports/ });
});
