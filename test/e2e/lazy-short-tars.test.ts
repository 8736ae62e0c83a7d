// Plain archives that end early, as containerd takes them: a layer without bytes, and one that ends with the last byte of its last
// file. Local, in a layout, of docker save, and in a registry.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import tap, { test, type Test } from 'tap';
import { writeArchive } from '../support/archive-writer.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { textBytes } from '../support/pattern.js';
import { deviceOf, LAYER, linesOf } from '../support/plain-image.js';
import { FaultFront } from '../support/registry/fault-front.js';
import { ImageLayout } from '../support/registry/image-layout.js';
import { sha256 } from '../support/registry/image-place.js';
import { pushFiles } from '../support/registry/push-image.js';
import { openPatiently, remoteOptions, REPOSITORY } from '../support/registry/remote-image.js';
import { writeUstar } from '../support/ustar.js';

tap.setTimeout(300_000);

const words = textBytes(1, 5000);
const END = 512 + words.length;
const whole = writeUstar([{ name: 'words', bytes: words }]);
const short = whole.subarray(0, END);
const none = Buffer.alloc(0);
const layers = [none, short];

/** An image of docker save. @param plain its layers, as they are in the archive */
function writeSaved(path: string, plain: readonly Buffer[], diffIds = plain.map(sha256)): string {
  const config = JSON.stringify({ rootfs: { type: 'layers', diff_ids: diffIds } });
  const id = sha256(Buffer.from(config)).slice('sha256:'.length);
  const names = plain.map((_, i) => `${i}/layer.tar`);
  const members = [
    ...plain.map((content, i) => ({ name: names[i] ?? '', content })),
    { name: `${id}.json`, content: config },
    {
      name: 'manifest.json',
      content: JSON.stringify([{ Config: `${id}.json`, RepoTags: ['app:1'], Layers: names }]),
    },
  ];
  writeFileSync(path, writeArchive(members));
  return `docker-archive:${path}`;
}

function writeFiles(folder: string, plain: readonly Buffer[]): string[] {
  return plain.map((bytes, i) => {
    const path = join(folder, `${i}.tar`);
    writeFileSync(path, bytes);
    return path;
  });
}

async function isGood(t: Test, daemon: DaemonProcess, name: string): Promise<void> {
  const client = await openPatiently(daemon.unix, name);
  const device = await deviceOf(client);
  await client.disconnect();
  const files = linesOf(device).filter(({ type }) => type === 'reg');
  t.match(files, [{ path: '/words', size: words.length }], name);
  const at = device.indexOf(words);
  t.ok(at > 0, name);
  const rest = 4096 - (words.length % 4096);
  t.ok(
    device
      .subarray(at + words.length)
      .subarray(0, rest)
      .equals(Buffer.alloc(rest)),
    name,
  );
}

await test('layers that end early are served', async (t) => {
  const folder = shortFolder(t);
  const layout = new ImageLayout(join(folder, 'layout'));
  await pushFiles(
    layout,
    'app',
    layers.map((bytes) => ({ bytes, mediaType: LAYER })),
  );
  const front = await FaultFront.start(t, { repositories: { [REPOSITORY]: layout } });
  const local = writeFiles(folder, layers);
  const config = join(folder, 'config.v1.json');
  writeFileSync(config, JSON.stringify({ lowers: local.map((file) => ({ file })) }));
  const images = {
    config,
    layout: `oci:${join(folder, 'layout')}:app`,
    saved: writeSaved(join(folder, 'saved.tar'), layers),
    registry: front.name(REPOSITORY, 'app'),
  };
  const args = Object.entries(images).flatMap(([name, image]) => ['-e', `${name}=${image}`]);
  const options = remoteOptions([front], join(folder, 'cache'));
  const daemon = await DaemonProcess.start(t, [...args, ...options]);
  for (const name of Object.keys(images)) await isGood(t, daemon, name);
  await daemon.stop(t);
  // By the record of the first opening, and what the cache has.
  await front.die();
  const again = await DaemonProcess.start(t, ['-e', `registry=${images.registry}`, ...options]);
  await isGood(t, again, 'registry');
  await again.stop(t);
  const blobs = await runDaemon(['inspect', ...local]);
  t.match(blobs.stdout, /layers +2/);
  const verified = await runDaemon(['verify', ...local]);
  t.match(verified, { code: 0, stdout: /good: 2 layers/ });
  t.match(await runDaemon(['inspect', local[0] ?? '']), { code: 0 }, 'alone');
  t.match(await runDaemon(['cat', local[1] ?? '', 'words']), { stdout: words.toString() });
});

await test('what has lost bytes is refused', async (t) => {
  const folder = shortFolder(t);
  for (const end of [END - 1, 511, 100]) {
    const [path = ''] = writeFiles(folder, [whole.subarray(0, end)]);
    const saved = writeSaved(join(folder, 'saved'), [whole.subarray(0, end)]);
    const layout = new ImageLayout(join(folder, `layout${end}`));
    await pushFiles(layout, 'app', [{ bytes: whole.subarray(0, end), mediaType: LAYER }]);
    const front = await FaultFront.start(t, { repositories: { [REPOSITORY]: layout } });
    const options = remoteOptions([front], join(folder, `cache${end}`));
    // A file of less than a header may be anything: alone, it is a disk.
    const images = end < 512 ? [] : [path];
    const remote = [front.name(REPOSITORY, 'app'), ...options];
    for (const image of [...images, saved, `oci:${join(folder, `layout${end}`)}:app`]) {
      const { code, stderr } = await runDaemon(['inspect', image]);
      t.not(code, 0, `${image} ${end}`);
      t.match(stderr, /expected a header,|no such header/, `${image} ${end}`);
    }
    const { code, stderr } = await runDaemon(['inspect', ...remote]);
    t.not(code, 0, `registry ${end}`);
    t.match(stderr, /expected a header,|no such header/, `registry ${end}`);
  }
  const lost = writeSaved(join(folder, 'lost'), [none], [sha256(whole)]);
  t.match((await runDaemon(['inspect', lost])).stderr, /unpacks to bytes with the digest/);
  const disk = join(folder, 'disk');
  writeFileSync(disk, none);
  t.match((await runDaemon(['inspect', disk])).stderr, /disk: empty/);
  const lower = join(folder, 'config.v1.json');
  writeFileSync(lower, JSON.stringify({ lowers: [{ file: disk }] }));
  t.match((await runDaemon(['inspect', lower])).stderr, /disk: .* no such header/);
});
