// Devices of images of files after the daemon died: opened as they were, or not served. Against a fake kernel.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { writeUstar } from '../../support/ustar.js';
import { makeWorld, until } from './device-world.js';

await test('what lies beside the layers is opened again, also after a kill', async (t) => {
  const { kernel, folder, records, live } = makeWorld(t);
  const [lower, upper] = [join(folder, 'lower.tar'), join(folder, 'upper.tar')];
  writeFileSync(lower, writeUstar([{ name: 'a', bytes: Buffer.from('lower') }]));
  writeFileSync(upper, writeUstar([{ name: '.wh.a' }, { name: 'b', bytes: Buffer.from('b') }]));
  const beside = { tocBlob: null, tocDigest: null, ztocs: [], layer: 1 };
  const image = [lower, upper];
  const first = await live();
  const all = await first.manager.attach({ image, connections: 1 });
  const alone = await first.manager.attach({ image, beside, connections: 1 });
  t.not(all.id, alone.id, 'another image');
  t.same(
    records().map((record) => record.beside),
    records().map(({ id }) => (id === alone.id ? beside : null)),
  );
  const before = [await kernel.read(0, 0, 8192, 0), await kernel.read(1, 0, 8192, 0)];
  t.notSame(before[0], before[1]);
  await first.die();
  const second = await live();
  await second.manager.recover();
  await second.manager.repairAll(8000);
  await until(() => [0, 1].every((i) => kernel.devices.get(i)?.sockets.length === 1));
  t.same([await kernel.read(0, 0, 8192, 0), await kernel.read(1, 0, 8192, 0)], before);
});

await test('layers whose middle has changed are not served below a mounted file system', async (t) => {
  const { folder, kernel, image, records, live } = makeWorld(t);
  const layer = join(folder, 'layer.tar');
  // The fingerprint has the size, the head and the tail.
  const files = Array.from({ length: 64 }, (_, i) => ({
    name: `file${i}`,
    bytes: Buffer.alloc(1024, i),
  }));
  const tar = (name: string): Buffer =>
    writeUstar(files.map((file, i) => (i === 32 ? { ...file, name } : file)));
  writeFileSync(layer, tar('before'));
  const first = await live();
  await first.manager.attach({ image: [layer], connections: 1 });
  await first.manager.attach({ image: [image], connections: 1 });
  const lengths = records().map(({ metadata }) => metadata?.length ?? 0);
  t.same(new Set(lengths), new Set([0, 64]), 'only an image of files has it');
  await first.die();
  writeFileSync(layer, tar('after!'));
  const second = await live();
  await second.manager.recover();
  const states = (await second.manager.status()).map(({ device, state }) => `${device} ${state}`);
  t.same(states, ['/dev/nbd0 failed', '/dev/nbd1 waiting']);
  t.match(second.log, [/nbd0 .*layer\.tar is not the image with which it was attached/]);
  writeFileSync(layer, tar('before'));
  await until(() => kernel.devices.get(0)?.sockets.length === 1);
});
