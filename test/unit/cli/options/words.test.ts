// Words that name images: what is a path, what is a reference, and what is neither.
import { mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { configuredWords, namedWords } from '../../../../daemon/cli/options/words.js';

const named = (word: string): string | undefined => namedWords([word])[0];

await test('a word of the command line is a path if that exists, else the name of an image', (t) => {
  const folder = t.testdir({ image: '', sub: {} });
  const before = process.cwd();
  process.chdir(folder);
  t.teardown(() => process.chdir(before));
  t.equal(named('image'), 'image');
  t.equal(named('sub'), 'sub');
  t.equal(named('redis:7'), 'docker://redis:7');
  t.equal(named('registry.example/a/b'), 'docker://registry.example/a/b');
  t.equal(named('docker://image'), 'docker://image', 'also if there is a file of that name');
  t.equal(named('oci:sub:tag'), `oci:${join(folder, 'sub')}:tag`);
  t.equal(named('docker-archive:a.tar:x:1'), `docker-archive:${join(folder, 'a.tar')}:x:1`);
  for (const path of ['/none', './none', '../none', '.', '..']) t.equal(named(path), path);
  t.same(namedWords(['one', 'two']), ['one', 'two'], 'several words are layers');
  const neither = {
    code: 'NOT_FOUND',
    message: /^No Such: there is no such file, and it does not/,
  };
  t.throws(() => named('No Such'), neither);
  t.end();
});

await test('a word that can only be a file is not looked for in a registry', (t) => {
  const folder = t.testdir({ 'my.dir': {} });
  const before = process.cwd();
  process.chdir(folder);
  t.teardown(() => process.chdir(before));
  symlinkSync('nowhere', join(folder, 'dangling'));
  for (const word of [
    'none.json',
    'sub/none.tar.gz',
    'none.OBD',
    'none.img',
    'none.erofs',
    'my.dir/y.tar',
  ]) {
    const message = `${word}: no such file; an image of that name is docker://${word}`;
    t.throws(() => named(word), { code: 'NOT_FOUND', message });
  }
  t.equal(named('registry.example/app.json'), 'docker://registry.example/app.json');
  t.equal(named('app.json:1'), 'docker://app.json:1', 'no file has a tag');
  t.throws(() => named('dangling'), {
    code: 'NOT_FOUND',
    message: 'dangling: a symlink to nowhere, which does not exist',
  });
  for (const word of [
    'oci-archive:oa.tar',
    'docker-daemon:app:1',
    'containers-storage:app',
    'dir:img',
  ]) {
    t.throws(() => named(word), { code: 'UNSUPPORTED', message: /: is not supported: / });
  }
  const advice = [
    [
      'https://ghcr.io/a/b',
      /: URLs are not supported: download the file, or name the image as docker/,
    ],
    ['file:///x/y.tar', /: write \/x\/y\.tar$/],
    ['docker:demo/app', /: write docker:\/\/demo\/app$/],
  ] as const;
  for (const [word, message] of advice) {
    t.throws(() => named(word), { code: 'NOT_FOUND', message });
  }
  t.equal(named('docker:dind'), 'docker://docker:dind');
  t.throws(() => named('oci-archive:oa.tar'), {
    message: /unpack the archive, and name .* oci:DIR$/,
  });
  t.end();
});

await test('a word of a configuration is an image only with a scheme or a host', (t) => {
  const folder = t.testdir();
  const inFolder = (word: string): string | undefined => configuredWords([word], folder)[0];
  t.equal(inFolder('redis:7'), join(folder, 'redis:7'), 'the file may come later');
  t.equal(inFolder('sub/config.v1.json'), join(folder, 'sub/config.v1.json'));
  t.equal(inFolder('registry.example/a:1'), 'docker://registry.example/a:1');
  t.equal(inFolder('localhost/a'), 'docker://localhost/a');
  t.equal(inFolder('localhost:5000/a'), 'docker://localhost:5000/a');
  t.equal(inFolder('/abs'), '/abs');
  t.equal(inFolder('../up.ext/a'), join(folder, '../up.ext/a'));
  t.equal(inFolder('oci:layout'), `oci:${join(folder, 'layout')}`);
  mkdirSync(join(folder, 'v1.0'));
  writeFileSync(join(folder, 'v1.0/a'), '');
  t.equal(inFolder('v1.0/a'), join(folder, 'v1.0/a'), 'a folder with a dot');
  t.same(configuredWords(['a.b/c', 'd'], folder), [join(folder, 'a.b/c'), join(folder, 'd')]);
  t.end();
});
