// The demo image, read by the naive reader, and the commands that the demo prints; the daemon is not started.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { demoClients, listenAddress } from '../../support/demo-clients.js';
import { writeDemoImage } from '../../support/demo-image.js';
import { buildDevice } from '../../support/model.js';
import { readLsmt, unwrapBlob } from '../../support/naive-reader.js';

await test('two layers make the disk, and the upper one is small', async (t) => {
  const folder = t.testdir();
  const image = writeDemoImage(folder);
  const config: unknown = JSON.parse(readFileSync(image.config, 'utf8'));
  t.same(config, { repoBlobUrl: '', lowers: [{ file: 'layer0.tar' }, { file: 'layer1.obd' }] });
  const files = image.layers.map(({ file }) => readFileSync(join(folder, file)));
  t.same(
    files.map(({ length }) => length),
    image.layers.map(({ size }) => size),
  );
  const layers = files.map((file) => readLsmt(unwrapBlob(file)));
  const { device, owner, zeroed } = buildDevice(
    image.virtualSize,
    layers.map(({ segments }) => segments),
  );
  t.ok(device.equals(image.device));
  t.ok(device.includes('Hello from two layers.'));
  t.notOk(device.includes('Hello from the bottom layer.'));
  const count = (layer: number) => owner.filter((value) => value === layer).length;
  t.ok(count(0) > 5 && count(1) > 40, 'both layers own sectors');
  t.equal(
    zeroed.reduce((sum, value) => sum + value, 0),
    40,
    'the deleted file took twenty clusters of two sectors',
  );
});

await test('the image is the same every time', async (t) => {
  const folders = [t.testdir({ a: {}, b: {} })].flatMap((top) => [join(top, 'a'), join(top, 'b')]);
  const images = folders.map((folder) => {
    writeDemoImage(folder);
    return readFileSync(join(folder, 'layer1.obd'));
  });
  t.same(images[0], images[1]);
});

await test('--listen is found in both forms, and the last one counts', async (t) => {
  t.equal(listenAddress(['--threads', '1']), undefined);
  t.equal(listenAddress(['--listen', 'tcp://0.0.0.0:1']), 'tcp://0.0.0.0:1');
  t.equal(listenAddress(['--listen', 'tcp://h:1', '--listen=unix:///s']), 'unix:///s');
});

await test('the printed commands fit the address', async (t) => {
  t.match(demoClients('tcp://127.0.0.1:10809'), [
    /^nbdinfo nbd:\/\/localhost$/,
    /^nbdcopy nbd:\/\/localhost demo\.img && mdir -i demo\.img/,
    /^sudo nbd-client localhost \/dev\/nbd0 && sudo mount -o ro \/dev\/nbd0 \/mnt$/,
  ]);
  t.match(demoClients('tcp://10.0.0.1:999'), [
    /nbd:\/\/10\.0\.0\.1:999$/,
    /nbd:\/\/10\.0\.0\.1:999 /,
    /nbd-client 10\.0\.0\.1 999 /,
  ]);
  t.match(demoClients('unix:///run/demo.sock'), [
    /^nbdinfo 'nbd\+unix:\/\/\/\?socket=\/run\/demo\.sock'$/,
    /^nbdcopy 'nbd\+unix/,
    /nbd-client -unix \/run\/demo\.sock /,
  ]);
  t.same(demoClients('nonsense'), []);
});
