// A registry or a mirror whose first answers are wrong: they decide nothing, and do not stay.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as tick } from 'node:timers/promises';
import t from 'tap';
import { askRaw, socketOf } from '../support/control.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { LSMT_FIELD } from '../../daemon/lsmt/format.js';
import { writeDiskLayer } from '../support/lsmt-writer.js';
import { randomBytes } from '../support/pattern.js';
import { LAYER } from '../support/plain-image.js';
import { sha256 } from '../support/registry/image-place.js';
import { pushFiles } from '../support/registry/push-image.js';
import {
  comparePatiently,
  openPatiently,
  remoteImage,
  remoteOptions,
  REPOSITORY,
} from '../support/registry/remote-image.js';
import { writeArchive } from '../support/archive-writer.js';
import { writeZfile } from '../support/zfile-writer.js';

t.setTimeout(600_000);

const SIZE = 1 << 20;
const device = randomBytes(1, SIZE);
const lsmt = writeDiskLayer(device);
const archive = writeArchive([{ name: 'overlaybd.commit', content: writeZfile(lsmt) }]);

/** As its tools push it. */
const annotated = (bytes: Buffer) => ({
  bytes,
  mediaType: LAYER,
  annotations: {
    'containerd.io/snapshot/overlaybd/blob-digest': sha256(bytes),
    'containerd.io/snapshot/overlaybd/blob-size': String(bytes.length),
  },
});

/** With the bytes that a lying registry changes: in the head, and in the trailer. */
const CASES = {
  'an archive that is a layer': { layer: { bytes: archive, mediaType: LAYER }, wrong: [0] },
  'the same with annotations': { layer: annotated(archive), wrong: [0] },
  'a layer without a wrapper': { layer: annotated(lsmt), wrong: [0, lsmt.length - 4096] },
} as const;

for (const [name, { layer, wrong }] of Object.entries(CASES)) {
  await t.test(name, async (test) => {
    const { front, layout } = await remoteImage(test);
    await pushFiles(layout, 'app', [layer]);
    const cache = join(shortFolder(test), 'cache');
    const args = [front.name(REPOSITORY, 'app'), ...remoteOptions([front], cache)];
    const corrupt = (at: number, times?: number) =>
      front.rule({
        match: { kind: 'data', reference: sha256(layer.bytes), covers: at },
        action: { do: 'corrupt', at },
        ...(times !== undefined && { times }),
      });
    // In each answer: nothing but an error.
    for (const at of wrong) {
      const rule = corrupt(at);
      const failed = await runDaemon(['inspect', ...args]);
      test.not(failed.code, 0, `byte ${at}`);
      test.ok(rule.hits > 1, 'asked once more');
      test.ok(rule.hits < 8, `${rule.hits} answers`);
      front.rules.clear();
      if (layer === CASES['a layer without a wrapper'].layer) {
        const offline = await runDaemon(['inspect', ...args, '--offline']);
        test.equal(offline.stderr, failed.stderr, 'nothing is dropped without a network');
      }
      const healed = await runDaemon(['inspect', ...args]);
      test.equal(healed.code, 0, healed.stderr);
      await runDaemon(['cache', 'rm', sha256(layer.bytes), '--cache-dir', cache]);
    }
    // The first answers are wrong: the first opening is right.
    const once = corrupt(0, 1);
    const daemon = await DaemonProcess.start(test, args);
    const client = await openPatiently(daemon.unix);
    test.equal(once.hits, 1);
    test.equal(await comparePatiently(client, device), null);
    await client.disconnect();
    await daemon.stop(test);
  });
}

await t.test('an image that the registry has wrong is not fetched for each try', async (test) => {
  const { front, layout } = await remoteImage(test);
  const layer = annotated(lsmt);
  await pushFiles(layout, 'app', [layer]);
  const rule = front.rule({
    match: { kind: 'data', reference: sha256(layer.bytes), covers: 0 },
    action: { do: 'corrupt', at: 0 },
  });
  const folder = shortFolder(test);
  const config = join(folder, 'daemon.json');
  writeFileSync(config, JSON.stringify({ exports: { bad: front.name(REPOSITORY, 'app') } }));
  const state = join(folder, 'state');
  const options = remoteOptions([front], join(folder, 'cache'));
  const daemon = await DaemonProcess.start(test, [
    '--config',
    config,
    '--state',
    state,
    ...options,
  ]);
  const tries = async (): Promise<number> => {
    const { body } = await askRaw(socketOf(state), { path: '/v1/status' });
    const { exports } = JSON.parse(body) as { exports: { problem?: { tries: number } }[] };
    return exports[0]?.problem?.tries ?? 0;
  };
  while ((await tries()) < 4) await tick(100);
  test.ok(rule.hits <= 4, `${rule.hits} answers: the first, one byte, once more`);
  await daemon.stop(test);
});

await t.test('a damaged index is mended for commands that only look', async (test) => {
  const { front, layout } = await remoteImage(test);
  const layer = annotated(lsmt);
  await pushFiles(layout, 'app', [layer]);
  // High bits of the first entry's place in the layer.
  const at = Number(lsmt.readBigUInt64LE(lsmt.length - 4096 + LSMT_FIELD.indexOffset)) + 14;
  for (const command of ['inspect', 'ls', 'cat']) {
    const cache = join(shortFolder(test), 'cache');
    const name = front.name(REPOSITORY, 'app');
    const options = remoteOptions([front], cache);
    const rule = front.rule({
      match: { kind: 'data', reference: sha256(layer.bytes), covers: at },
      action: { do: 'corrupt', at },
      times: 1,
    });
    const path = command === 'cat' ? ['file'] : [];
    const looked = await runDaemon([command, name, ...path, ...options]);
    // Random bytes have no files: `ls` and `cat` say so after they have read the index.
    test.equal(looked.code, command === 'inspect' ? 0 : 1, `${command}: ${looked.stderr}`);
    test.notMatch(looked.stderr, /lsmt index entry/);
    test.equal(rule.hits, 1);
    const offline = await runDaemon(['inspect', name, ...options, '--offline']);
    test.equal(offline.code, 0, `${command}: ${offline.stderr}`);
    front.rules.clear();
  }
});
