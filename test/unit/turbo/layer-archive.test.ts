// The blob of a turboOCI layer: which archives are one, and where its files are.
import { gzipSync } from 'node:zlib';
import { test } from 'tap';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import {
  isTurboArchive,
  readTurboLayer,
  type TurboLayerFiles,
} from '../../../daemon/turbo/layer-archive.js';
import { MAX_TURBO_LAYER_BYTES } from '../../../daemon/turbo/limits.js';
import { writeArchive } from '../../support/archive-writer.js';
import { MemorySource } from '../../support/memory-source.js';

type Member = Parameters<typeof writeArchive>[0][number];

function read(...members: Member[]): Promise<TurboLayerFiles> {
  return readTurboLayer(new MemorySource(gzipSync(writeArchive(members)), 'layer'), UNBOUNDED);
}

const marker = { name: '.turbo.ociv1', content: '' };
const ext4 = { name: 'ext4.fs.meta', content: 'ext4' };
const erofs = { name: 'erofs.fs.meta', content: 'erofs' };
const index = { name: 'gzip.meta', content: 'index' };

await test('an archive is one by the name of its first file', (t) => {
  for (const member of [marker, ext4, erofs, index, { name: './.fastoci.overlaybd' }]) {
    t.ok(isTurboArchive(writeArchive([member])), member.name);
  }
  for (const name of ['etc', 'a/gzip.meta', 'ext4.fs.meta.bak']) {
    t.notOk(isTurboArchive(writeArchive([{ name, content: '' }])), name);
  }
  t.notOk(isTurboArchive(Buffer.alloc(0)));
  t.end();
});

await test('its files', async (t) => {
  const found = await read(marker, erofs, index, ext4);
  t.match(found, {
    metadata: { name: 'ext4.fs.meta', size: 4 },
    gzipIndex: { name: 'gzip.meta', offset: 4 * 512, size: 5 },
  });
  t.match(await read(marker, erofs), { metadata: { name: 'erofs.fs.meta' }, gzipIndex: null });
  const twice = await read(ext4, { ...ext4, content: 'second' });
  t.match(twice.metadata, { size: 6, offset: 3 * 512 });
});

await test('what is refused', async (t) => {
  await t.rejects(read(marker, index), {
    code: 'BAD_FORMAT',
    message: /without ext4\.fs\.meta or/,
  });
  const link = { name: 'ext4.fs.meta', type: '2', content: 'x' };
  await t.rejects(read(marker, link), { message: /ext4\.fs\.meta is not a file with contents/ });
  await t.rejects(read(marker, { ...ext4, content: '' }), { message: /not a file with contents/ });
  const large = new MemorySource(Buffer.alloc(0), 'layer');
  Object.defineProperty(large, 'size', { value: MAX_TURBO_LAYER_BYTES + 1 });
  await t.rejects(readTurboLayer(large, UNBOUNDED), { code: 'LIMIT' });
});
