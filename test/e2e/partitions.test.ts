// A partition of a disk as an export, the partition table in inspect, and a comparison with sfdisk.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { ImageFacts } from '../../daemon/inspect/image-facts.js';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { writeGpt, writeMbr } from '../support/partition-writer.js';
import { randomBytes } from '../support/pattern.js';
import { writeDiskLayer } from '../support/lsmt-writer.js';
import { requireTool, runTool } from '../support/tools.js';

t.setTimeout(900_000);

const SIZE = 8 << 20;
const folder = shortFolder(t);

const gpt = join(folder, 'gpt.img');
const gptBytes = randomBytes(1, SIZE);
writeGpt(gptBytes, [
  { first: 2048, last: 4095, name: 'root' },
  null,
  { first: 4096, last: 16_000 },
]);
writeFileSync(gpt, gptBytes);

const mbr = join(folder, 'mbr.img');
const mbrBytes = randomBytes(2, SIZE);
writeMbr(mbrBytes, [
  { type: 0x83, begin: 64, count: 128 },
  { type: 0x05, begin: 2048, count: 4096 },
  { type: 0x83, begin: 10_000, count: 100_000 },
]);
writeMbr(mbrBytes, [{ type: 0x83, begin: 8, count: 100 }], 2048);
writeFileSync(mbr, mbrBytes);

/** The same disk as a layer. */
const layer = join(folder, 'gpt.obd');
writeFileSync(layer, writeDiskLayer(gptBytes));

async function check(daemon: DaemonProcess, name: string, expected: Buffer): Promise<boolean> {
  const client = await RawNbdClient.open(daemon.unix, name);
  const all = await client.read(0, expected.length);
  const error = await client.command({ offset: expected.length, length: 512 });
  await client.disconnect();
  return all.equals(expected) && error !== 0;
}

await t.test('clients see a partition, and nothing else of the disk', async (test) => {
  const root = gptBytes.subarray(2048 * 512, 4096 * 512);
  for (const image of [gpt, layer]) {
    const daemon = await DaemonProcess.start(test, [image, '--partition', '1']);
    test.ok(await check(daemon, '', root), image);
    test.match(daemon.log, /: partition 1 at 1048576 of: .*, 1048576 bytes/);
    await daemon.stop(test);
  }
  const config = join(shortFolder(test), 'daemon.json');
  const exports = {
    whole: gpt,
    root: { image: gpt, partition: 1 },
    logical: { image: [mbr], partition: 5 },
  };
  writeFileSync(config, JSON.stringify({ exports, listen: [] }));
  const daemon = await DaemonProcess.start(test, ['--config', config]);
  test.ok(await check(daemon, 'whole', gptBytes));
  test.ok(await check(daemon, 'root', root));
  test.ok(await check(daemon, 'logical', mbrBytes.subarray(2056 * 512, 2156 * 512)));
  await daemon.stop(test);
});

await t.test('partitions that do not exist, and invalid partition options', async (test) => {
  const cases: [string[], number, RegExp][] = [
    [[gpt, '-p', '2'], 1, /partition 2: not in the gpt partition table: it has 1, 3/],
    [[mbr, '-p', '2'], 1, /mbr partition 2 at byte 466: expected a partition with data/],
    [
      [mbr, '-p', '3'],
      1,
      /mbr partition 3 at byte 486: expected sectors below 16384, the end of the disk, got sectors 10000 to 109999/,
    ],
    [[layer, '-p', '9'], 1, /it has 1, 3/],
    [[gpt, '-p', '0'], 2, /--partition: not the number of a partition/],
    [[gpt, '-p', '1.5'], 2, /--partition/],
    [
      ['-e', `a=${gpt}`, '-e', `b=${mbr}`, '-p', '1'],
      2,
      /--partition: works only for a single image/,
    ],
  ];
  for (const [args, code, message] of cases) {
    const result = await runDaemon(['serve', ...args, '-l', 'tcp://127.0.0.1:0']);
    test.equal(result.code, code, args.join(' '));
    test.match(result.stderr, message);
  }
  const none = join(shortFolder(test), 'none.img');
  writeFileSync(none, Buffer.alloc(4096));
  const { stderr } = await runDaemon(['serve', none, '-p', '1', '-l', 'tcp://127.0.0.1:0']);
  test.match(
    stderr,
    /none\.img: partition 1: the disk has no partition table \(neither GPT nor MBR\)/,
  );
});

await t.test('inspect lists partitions', async (test) => {
  for (const image of [gpt, layer]) {
    const { stdout } = await runDaemon(['inspect', '--json', image]);
    test.match((JSON.parse(stdout) as ImageFacts).partitions, {
      table: 'gpt',
      sectorSize: 512,
      partitions: [
        { number: 1, offset: 1 << 20, bytes: 1 << 20, name: 'root', problem: null },
        { number: 3, offset: 2 << 20, problem: null },
      ],
    });
  }
  const text = (await runDaemon(['inspect', mbr])).stdout;
  test.match(
    text,
    /\n\npartitions\n {2}table +mbr, sectors of 512 bytes\n {2}1 +at 32768, 64\.0 KiB .*type 0x83\n/,
  );
  test.match(text, /\n {2}3 +cannot be used: .*mbr partition 3/);
  test.match(text, /\n {2}5 +at 1052672, /);
  const broken = join(shortFolder(test), 'broken.img');
  const bytes = Buffer.from(gptBytes);
  bytes.fill(0xff, 512 + 16, 512 + 20);
  bytes.fill(0xff, SIZE - 512 + 16, SIZE - 512 + 20);
  writeFileSync(broken, bytes);
  const told = await runDaemon(['inspect', broken]);
  test.equal(told.code, 0, 'the disk can be served');
  test.match(told.stdout, /note +partitions: .*gpt header checksum/);
});

await t.test('sfdisk finds the same partitions', async (test) => {
  if (!requireTool(test, 'sfdisk')) return;
  for (const [image, numbers] of [
    [gpt, [1, 3]],
    [mbr, [1, 3, 5]],
  ] as const) {
    const { stdout } = await runTool('sfdisk', ['-J', image]);
    const { partitiontable } = JSON.parse(stdout) as {
      partitiontable: { partitions: { node: string; start: number; size: number }[] };
    };
    const facts = JSON.parse((await runDaemon(['inspect', '--json', image])).stdout) as ImageFacts;
    for (const number of numbers) {
      const theirs = partitiontable.partitions.find(({ node }) => node === `${image}${number}`);
      const ours = facts.partitions?.partitions.find((each) => each.number === number);
      // sfdisk does not report partitions that end past the disk.
      const { offset = -1, bytes = -1 } = ours ?? {};
      test.same([offset / 512, bytes / 512], [theirs?.start, theirs?.size], `${image} ${number}`);
    }
  }
});
