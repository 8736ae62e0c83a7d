// The file of --config: its size limit, and paths relative to it.
import { spawnSync } from 'node:child_process';
import { truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { readConfig } from '../../../../daemon/cli/options/config-file.js';

await test('paths in a configuration are relative to its file', async (t) => {
  const folder = t.testdir({
    'daemon.json': JSON.stringify({
      exports: {
        a: 'a.json',
        b: ['/b1', 'b2'],
        c: { image: 'c', partition: 2 },
        d: 'localhost:5000/d:1',
        e: 'oci:e:1',
        f: { image: 'f', tocBlob: 'toc', ztocs: ['z', null], blobs: '/b', objects: 'o' },
        g: { image: 'oci:e:1', sociIndex: 'oci:e:2', layer: 0, insecureToc: true },
        h: { image: 'h', sociIndex: 'localhost:5000/d:2' },
        i: { image: 'i', sociIndex: 'none' },
        j: { image: 'j', sociIndex: 'k' },
      },
      tls: { certificate: 'cert.pem', key: '/key.pem' },
      threads: 3,
    }),
  });
  t.same(await readConfig(join(folder, 'daemon.json')), {
    exports: {
      a: [join(folder, 'a.json')],
      b: ['/b1', join(folder, 'b2')],
      c: { image: [join(folder, 'c')], partition: 2 },
      d: ['docker://localhost:5000/d:1'],
      e: [`oci:${join(folder, 'e')}:1`],
      f: {
        image: [join(folder, 'f')],
        tocBlob: join(folder, 'toc'),
        ztocs: [join(folder, 'z'), null],
        blobs: '/b',
        objects: join(folder, 'o'),
      },
      g: {
        image: [`oci:${join(folder, 'e')}:1`],
        sociIndex: `oci:${join(folder, 'e')}:2`,
        layer: 0,
        insecureToc: true,
      },
      h: { image: [join(folder, 'h')], sociIndex: 'docker://localhost:5000/d:2' },
      i: { image: [join(folder, 'i')], sociIndex: 'none' },
      j: { image: [join(folder, 'j')], sociIndex: join(folder, 'k') },
    },
    tls: { certificate: join(folder, 'cert.pem'), key: '/key.pem' },
    threads: 3,
  });
});

await test('a configuration that cannot be read is an error that names it once', async (t) => {
  const folder = t.testdir({ wrong: '{', folder: {} });
  const fifo = join(folder, 'fifo');
  spawnSync('mkfifo', [fifo]);
  const large = join(folder, 'large');
  writeFileSync(large, '');
  truncateSync(large, 33 << 20);
  for (const path of ['missing', 'wrong', 'folder', 'fifo', 'large'].map((x) => join(folder, x))) {
    const error = await readConfig(path).then(
      () => null,
      (why: unknown) => why as Error,
    );
    t.match(error, { code: 'BAD_CONFIG' }, path);
    t.equal(error?.message.split(path).length, 2, String(error));
  }
});
