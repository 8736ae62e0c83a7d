// Images of turboOCI by name: from layouts and registries, by the name of the ordinary image, and broken ones.
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import tap, { test, type Test } from 'tap';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { LayoutWriter } from '../support/layout-writer.js';
import { imageManifest } from '../support/memory-registry.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { FaultFront } from '../support/registry/fault-front.js';
import { ImageLayout } from '../support/registry/image-layout.js';
import { compare, remoteOptions, REPOSITORY } from '../support/registry/remote-image.js';
import { writeTurboLayout, type TurboOptions } from '../support/turbo-image.js';

tap.setTimeout(600_000);

async function same(t: Test, daemon: DaemonProcess, device: Buffer, name = ''): Promise<void> {
  const client = await RawNbdClient.open(daemon.unix, name);
  t.equal(await compare(client, device), null, name);
  await client.disconnect();
}

await test('a layout: both names of the format, both file systems, an ordinary image', async (t) => {
  const layout = new LayoutWriter(join(shortFolder(t), 'layout'));
  await writeTurboLayout(layout, 'old', null, {
    keys: (target) => ({ version: '0.1.0-fastoci', 'fastoci/target-digest': target }),
    marker: './.fastoci.overlaybd',
    metadata: 'erofs.fs.meta',
  });
  const { device } = await writeTurboLayout(layout, 'turbo', 'plain');
  const tags = ['old', 'plain'];
  const exports = tags.flatMap((tag) => ['--export', `${tag}=oci:${layout.folder}:${tag}`]);
  const daemon = await DaemonProcess.start(t, exports);
  for (const tag of tags) await same(t, daemon, device, tag);
  await daemon.stop(t);
  const verified = await runDaemon(['verify', `oci:${layout.folder}:old`]);
  t.equal(verified.code, 0, verified.stdout + verified.stderr);
  const inspected = await runDaemon(['inspect', `oci:${layout.folder}:old`]);
  t.match(inspected.stdout, /turboOCI +its index maps ranges/);
});

/** A turboOCI image in a registry, and the options for it. */
async function inRegistry(t: Test, turbo: TurboOptions) {
  const folder = shortFolder(t);
  const layout = new LayoutWriter(join(folder, 'layout'));
  const { device } = await writeTurboLayout(layout, 'turbo', null, turbo);
  const place = new ImageLayout(layout.folder);
  const front = await FaultFront.start(t, { repositories: { [REPOSITORY]: place } });
  const name = front.name(REPOSITORY, 'turbo');
  const options = remoteOptions([front], join(folder, 'cache'));
  return { front, name, device, options };
}

await test('a registry: nothing is fetched twice, and verify', async (t) => {
  const { front, name, device, options } = await inRegistry(t, {});
  const daemon = await DaemonProcess.start(t, [name, ...options]);
  await same(t, daemon, device);
  await daemon.stop(t);
  t.same(front.log.violations(), []);
  t.equal(front.log.duplicateBytes(), 0, 'nothing is fetched twice');
  const verified = await runDaemon(['verify', name, ...options]);
  t.equal(verified.code, 0, verified.stdout + verified.stderr);
});

await test('plain targets in a registry, which says their sizes once', async (t) => {
  const { front, name, device, options } = await inRegistry(t, { isPlain: true });
  const daemon = await DaemonProcess.start(t, [name, ...options]);
  await same(t, daemon, device);
  await daemon.stop(t);
  t.same(front.log.violations(), []);
  // What is in the cache is opened by what the cache knows.
  const before = front.log.filter({ kind: 'blob' }).length;
  const again = await DaemonProcess.start(t, [name, ...options]);
  await same(t, again, device);
  await again.stop(t);
  t.equal(front.log.filter({ kind: 'blob' }).length, before);
});

await test('plain targets of which a manifest and a mirror say something else', async (t) => {
  const folder = shortFolder(t);
  const layout = new LayoutWriter(join(folder, 'layout'));
  const { device, targets } = await writeTurboLayout(layout, 'turbo', null, { isPlain: true });
  // It has made a part of the target in the cache.
  const wrong = targets.map((target) => ({ ...target, size: Number(target['size']) + 512 }));
  layout.manifest(imageManifest(wrong), 'wrong');
  const place = new ImageLayout(layout.folder);
  const front = await FaultFront.start(t, { repositories: { [REPOSITORY]: place } });
  const mirror = await FaultFront.start(t, { repositories: { [REPOSITORY]: place } });
  const options = remoteOptions([front, mirror], join(folder, 'cache'));
  const refused = await runDaemon(['inspect', front.name(REPOSITORY, 'wrong'), ...options]);
  t.not(refused.code, 0);
  t.match(refused.stderr, /has \d+ bytes of this blob, not \d+ as its descriptor says/);
  mirror.rule({ match: { kind: 'data' }, action: { do: 'shifted-range', total: 512 } });
  const name = front.name(REPOSITORY, 'turbo');
  const mirrored = ['--mirror', `${front.host}=https://${mirror.host}`];
  const daemon = await DaemonProcess.start(t, [name, ...options, ...mirrored]);
  await same(t, daemon, device);
  await daemon.stop(t);
});

for (const isPlain of [false, true]) {
  await test(`targets that end with their last file, ${isPlain ? 'plain' : 'in gzip'}`, async (t) => {
    const turbo = { isPlain, isShort: true };
    const { front, name, device, options } = await inRegistry(t, turbo);
    const layout = new LayoutWriter(join(shortFolder(t), 'layout'));
    await writeTurboLayout(layout, 'turbo', null, turbo);
    const images = { remote: name, local: `oci:${layout.folder}:turbo` };
    const exports = Object.entries(images).flatMap(([as, image]) => ['-e', `${as}=${image}`]);
    const daemon = await DaemonProcess.start(t, [...exports, ...options]);
    for (const as of Object.keys(images)) await same(t, daemon, device, as);
    await daemon.stop(t);
    t.same(front.log.violations(), []);
    for (const image of Object.values(images)) {
      const verified = await runDaemon(['verify', image, ...options]);
      t.equal(verified.code, 0, verified.stdout + verified.stderr);
    }
  });
}

for (const isPlain of [false, true]) {
  const what = isPlain ? 'plain' : 'in gzip';
  await test(`a configuration whose targets are in a registry, ${what}`, async (t) => {
    const folder = shortFolder(t);
    const layout = new LayoutWriter(join(folder, 'layout'));
    const { device, targets, parts } = await writeTurboLayout(layout, 'turbo', null, { isPlain });
    const place = new ImageLayout(layout.folder);
    const front = await FaultFront.start(t, { repositories: { [REPOSITORY]: place } });
    const lowers = parts.map(({ metadata, gzipIndex }, i) => {
      writeFileSync(join(folder, `meta${i}`), metadata);
      if (gzipIndex) writeFileSync(join(folder, `index${i}`), gzipIndex);
      return {
        file: `meta${i}`,
        targetDigest: targets[i]?.['digest'],
        ...(gzipIndex && { gzipIndex: `index${i}` }),
      };
    });
    const repoBlobUrl = `https://${front.host}/v2/${REPOSITORY}/blobs`;
    const config = join(folder, 'config.v1.json');
    writeFileSync(config, JSON.stringify({ repoBlobUrl, lowers }));
    const options = remoteOptions([front], join(folder, 'cache'));
    const daemon = await DaemonProcess.start(t, [config, ...options]);
    await same(t, daemon, device);
    await daemon.stop(t);
    t.same(front.log.violations(), []);
  });
}

await test('an ordinary image in a registry, to which a turboOCI image refers', async (t) => {
  const folder = shortFolder(t);
  const layout = new LayoutWriter(join(folder, 'layout'));
  const { device } = await writeTurboLayout(layout, '', 'plain');
  const place = new ImageLayout(layout.folder);
  const front = await FaultFront.start(t, {
    repositories: { [REPOSITORY]: place },
    referrers: true,
  });
  const daemon = await DaemonProcess.start(t, [
    front.name(REPOSITORY, 'plain'),
    ...remoteOptions([front], join(folder, 'cache')),
  ]);
  await same(t, daemon, device);
  await daemon.stop(t);
});

await test('what is refused', async (t) => {
  const layout = new LayoutWriter(join(shortFolder(t), 'layout'));
  const { layers, targets } = await writeTurboLayout(layout, 'good');
  const refused = async (words: string[], message: RegExp): Promise<void> => {
    const { code, stderr } = await runDaemon(['inspect', ...words]);
    t.equal(code, 1);
    t.match(stderr, message);
  };
  const blob = layout.pathOf(String(layers[0]?.['digest']));
  await refused([blob], /a turboOCI layer: most of its data is in another layer/);
  const bare = layers.map((layer) => ({ ...layer, annotations: {} }));
  layout.manifest(imageManifest(bare), 'bare');
  await refused([`oci:${layout.folder}:bare`], /a turboOCI layer: most of its data is in another/);
  const target = layout.pathOf(String(targets[0]?.['digest']));
  const bytes = readFileSync(target);
  writeFileSync(target, Buffer.concat([bytes, Buffer.alloc(1)]));
  await refused([`oci:${layout.folder}:good`], /gzip\.meta\): gzip index size of the gzip blob at/);
  rmSync(target);
  await refused([`oci:${layout.folder}:good`], /blobs\/sha256\//);
});
