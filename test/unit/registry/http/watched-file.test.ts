// Configuration files that change.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { MAX_FILE_BYTES } from '../../../../daemon/registry/http/limits.js';
import { WatchedFiles } from '../../../../daemon/registry/http/watched-file.js';

await test('read again when it has changed, but not all the time', async (t) => {
  let now = 0;
  let parsed = 0;
  const lines: string[] = [];
  const parse = (text: string): unknown => {
    parsed++;
    return JSON.parse(text);
  };
  const seams = { now: () => now, log: (line: string) => lines.push(line), filesMs: 1000 };
  const files = new WatchedFiles(parse, seams);
  const path = join(t.testdir({}), 'file');
  t.equal(await files.get(path), null);
  writeFileSync(path, '[1]');
  t.equal(await files.get(path), null, 'a moment ago there was none');
  now = 1000;
  t.same(await files.get(path), [1]);
  now = 2000;
  t.same(await files.get(path), [1]);
  t.equal(parsed, 1);
  writeFileSync(path, '{"password": "secret"');
  now = 3000;
  t.same(await files.get(path), [1], 'as it was before');
  now = 4000;
  await files.get(path);
  t.equal(lines.length, 1, 'once for each version');
  t.match(lines[0], /file: not well-formed; it is used as it was before/);
  t.notMatch(lines[0], /secret/);
  writeFileSync(path, '[2, 3]');
  now = 5000;
  t.same(await files.get(path), [2, 3]);
  const folder = join(t.testdirName, 'folder');
  mkdirSync(folder);
  t.equal(await files.get(folder), null);
  writeFileSync(join(folder, 'large'), ' '.repeat(MAX_FILE_BYTES + 1));
  t.equal(await files.get(join(folder, 'large')), null);
  t.match(lines.at(-1), /larger than 4194304 bytes; it is not used/);
});

await test('says why there is nothing of a file', async (t) => {
  const lines: string[] = [];
  const seams = { now: () => 0, log: (line: string) => lines.push(line), filesMs: 0 };
  const files = new WatchedFiles((text: string): unknown => JSON.parse(text), seams);
  const folder = t.testdir({ broken: '{', folder: {} });
  const expected = {
    none: 'no such file',
    'broken/none': 'no such file',
    broken: 'not well-formed',
    folder: 'it is a folder',
  };
  for (const [name, problem] of Object.entries(expected)) {
    const path = join(folder, name);
    t.equal(await files.get(path), null);
    t.equal(files.problem(path), problem, name);
  }
  t.equal(lines.at(-1), `${join(folder, 'folder')}: it is a folder; it is not used`);
});
