// Every fault of registries while images are read: the right bytes or EIO, never anything else; other exports are not
// disturbed; and when the fault has gone all is right, without a restart.
import { join } from 'node:path';
import t from 'tap';
import { lasting } from '../faults/lasting.js';
import { readOnce, readUntilRight, startSickWorld } from '../faults/sick-exports.js';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { FAULTS } from '../support/registry/faults.js';
import {
  compare,
  openPatiently,
  PATIENCE,
  remoteImage,
  remoteOptions,
} from '../support/registry/remote-image.js';
import { SEED } from '../support/seed.js';

t.setTimeout(280_000);

const MIB = 1 << 20;

await t.test('faults that last', (test) => lasting(test, { count: 1, seed: SEED, size: MIB }));

await t.test('faults that pass', async (test) => {
  const { daemon, sick } = await startSickWorld(test, FAULTS, () => ({}), 100);
  for (const { front, fault } of sick) {
    // A client waits for seconds before it takes a server for silent: once is enough.
    const isSilent = fault.action.do.startsWith('stall') || fault.action.do === 'drip';
    const times = fault.overcome && !isSilent ? 2 : 1;
    front.rule({ match: { kind: 'data' }, action: fault.action, times });
  }
  const seen = await readOnce(sick);
  const after = await readUntilRight(sick);
  for (const [i, { fault, client }] of sick.entries()) {
    test.match(seen[i], fault.overcome ? /^right$/ : /^(?:right$|error 5 )/, fault.name);
    test.equal(after[i], 'right', `${fault.name}: right afterwards`);
    client.destroy();
  }
  await daemon.stop(test);
});

const WRONG_BYTE = { do: 'corrupt', at: 800_000 } as const;

await t.test('a wrong byte is fetched once more', async (test) => {
  const { front, files, image, name } = await remoteImage(test, { files: { size: 2 * MIB } });
  const cache = join(shortFolder(test), 'cache');
  const daemon = await DaemonProcess.start(test, [name, ...remoteOptions([front], cache)]);
  const client = await openPatiently(daemon.unix);
  const reference = image.layers[0]?.digest ?? '';
  const match = { kind: 'data', reference, covers: WRONG_BYTE.at } as const;
  const rule = front.rule({ match, action: WRONG_BYTE, times: 1 });
  test.equal(await compare(client, files.device), null);
  test.equal(rule.hits, 1);
  client.destroy();
  await daemon.stop(test);
});

await t.test('a wrong byte in each answer', async (test) => {
  const { front, files, image, name } = await remoteImage(test, { files: { size: 2 * MIB } });
  const cache = join(shortFolder(test), 'cache');
  const daemon = await DaemonProcess.start(test, [name, ...remoteOptions([front], cache)]);
  const client = await openPatiently(daemon.unix);
  const reference = image.layers[0]?.digest ?? '';
  const match = { kind: 'data', reference, covers: WRONG_BYTE.at } as const;
  const rule = front.rule({ match, action: WRONG_BYTE });
  test.match(await compare(client, files.device), /^error 5 /);
  test.equal(rule.hits, 2, 'it is fetched once more');
  test.match(await compare(client, files.device), /^error 5 /);
  test.equal(rule.hits, 2, 'and not again and again');
  test.equal(await compare(client, files.device, MIB + MIB / 2), null, 'elsewhere all is right');
  await daemon.waitForLines(new RegExp(reference.slice(7, 19)));
  client.destroy();
  await daemon.stop(test);
});

await t.test(
  'a dead registry: one line in the log for all reads of a blob that fail',
  async (test) => {
    const { front, name, image } = await remoteImage(test, { files: { size: 8 * MIB } });
    // Seconds in which a busy machine opens the image, and each read fails.
    const deadline = 5;
    const args = [name, ...remoteOptions([front], join(shortFolder(test), 'cache'), deadline)];
    const daemon = await DaemonProcess.start(test, args);
    const client = await RawNbdClient.open(daemon.unix);
    await front.die();
    const reads = 100;
    for (let i = 0; i < reads; i++) {
      client.request({ cookie: BigInt(i), offset: i * 81_920, length: 512 });
    }
    let failed = 0;
    for (let i = 0; i < reads; i++) {
      const { error } = await client.reply(PATIENCE);
      if (error === 0) await client.take(512, PATIENCE);
      else failed++;
    }
    test.ok(failed > 2 * image.layers.length, `${failed} reads have failed`);
    const lines = await daemon.waitForLines(/read of 512 bytes at \d+ .* failed: /);
    test.ok(lines.length >= 1 && lines.length <= image.layers.length + 1, `${lines.length} lines`);
    test.match(lines[0], /sha256:[0-9a-f]{64}/);
    client.destroy();
    await daemon.stop(test);
  },
);
