// Every fault of registries while images are read: the right bytes or EIO, never anything else; other exports are not
// disturbed; and when the fault has gone all is right, without a restart.
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { tick, type RawNbdClient } from '../support/nbd-client.js';
import { FAULTS, type Fault } from '../support/registry/faults.js';
import {
  compare,
  comparePatiently,
  openPatiently,
  remoteImage,
  remoteOptions,
  type RemoteImage,
} from '../support/registry/remote-image.js';
import type { FrontOptions } from '../support/registry/fault-front.js';

t.setTimeout(280_000);

const MIB = 1 << 20;

interface Sick extends RemoteImage {
  readonly fault: Fault;
  readonly client: RawNbdClient;
}

interface World {
  readonly daemon: DaemonProcess;
  readonly sick: readonly Sick[];
  readonly healthy: RemoteImage;
}

/** An export for each fault, with a registry and an image of its own, and one that will have none. */
async function start(
  test: Test,
  faults: readonly Fault[],
  front: Partial<FrontOptions>,
  deadline: number,
): Promise<World> {
  const make = (seed: number): Promise<RemoteImage> =>
    remoteImage(test, { files: { size: MIB, seed: 100 * seed }, front });
  const healthy = await make(0);
  const images: RemoteImage[] = [];
  for (const position of faults.keys()) images.push(await make(position + 1));
  const exports = images.flatMap(({ name }, i) => ['--export', `sick${i}=${name}`]);
  const fronts = [healthy, ...images].map((image) => image.front);
  const options = remoteOptions(fronts, join(shortFolder(test), 'cache'), deadline);
  exports.push('--export', `healthy=${healthy.name}`);
  const daemon = await DaemonProcess.start(test, [...exports, ...options]);
  const sick: Sick[] = [];
  for (const [i, fault] of faults.entries()) {
    const client = await openPatiently(daemon.unix, `sick${i}`);
    sick.push({ ...(images[i] as RemoteImage), fault, client });
  }
  return { daemon, sick, healthy };
}

/** Reads the healthy export, which is cached, again and again. @returns what was wrong, if anything */
async function readOn(
  { daemon, healthy }: World,
  isOver: () => boolean,
): Promise<{ rounds: number; problem: string | null }> {
  const client = await openPatiently(daemon.unix, 'healthy');
  let problem = await comparePatiently(client, healthy.files.device);
  let rounds = 0;
  for (; problem === null && (rounds === 0 || !isOver()); rounds++) {
    problem = await compare(client, healthy.files.device);
    await tick(20);
  }
  await client.disconnect();
  return { rounds, problem };
}

const CASES = [
  { what: 'cold', front: {}, cached: 0 },
  { what: 'half cached, with a store', front: { redirect: 'store' }, cached: MIB / 2 },
] as const;

for (const { what, front, cached } of CASES) {
  await t.test(`faults that last, ${what}`, async (test) => {
    const faults = FAULTS.filter(({ lasting }) => lasting !== null);
    const world = await start(test, faults, front, 5);
    const { daemon, sick } = world;
    for (const { client, files } of sick) {
      test.equal(await comparePatiently(client, files.device, 0, cached), null);
    }
    for (const each of sick) {
      each.front.rule({ match: { kind: 'data' }, action: each.fault.action });
    }
    let over = false;
    const others = readOn(world, () => over);
    // In one read, so that one deadline is waited for.
    const seen = await Promise.all(
      sick.map(({ client, files }) => compare(client, files.device, 0, MIB, MIB)),
    );
    over = true;
    for (const [i, { fault }] of sick.entries()) {
      const outcome = seen[i] ?? 'right';
      const expected = fault.lasting === 'error' ? /^error 5 / : /^(?:right$|error 5 )/;
      test.match(outcome, expected, fault.name);
    }
    const { rounds, problem } = await others;
    test.equal(problem, null, `the healthy export was right ${rounds} times`);

    for (const each of sick) each.front.rules.clear();
    const after = await Promise.all(
      sick.map(({ client, files }) => comparePatiently(client, files.device)),
    );
    for (const [
      i,
      {
        fault,
        client,
        front: { log },
      },
    ] of sick.entries()) {
      test.equal(after[i], null, `${fault.name}: right when it has gone`);
      // The fault "416" is an answer that no request has deserved.
      test.same(
        log.violations().filter((line) => !line.includes('does not have')),
        [],
      );
      client.destroy();
    }
    await daemon.stop(test);
    test.notMatch(daemon.log, '\u001b', 'what is logged is escaped');
  });
}

await t.test('faults that pass', async (test) => {
  const { daemon, sick } = await start(test, FAULTS, {}, 100);
  for (const { front, fault } of sick) {
    // A client waits for seconds before it takes a server for silent: once is enough.
    const isSilent = fault.action.do.startsWith('stall') || fault.action.do === 'drip';
    const times = fault.overcome && !isSilent ? 2 : 1;
    front.rule({ match: { kind: 'data' }, action: fault.action, times });
  }
  const seen = await Promise.all(
    sick.map(({ client, files }) => compare(client, files.device, 0, MIB, MIB)),
  );
  const after = await Promise.all(
    sick.map(({ client, files }) => comparePatiently(client, files.device)),
  );
  for (const [i, { fault, client }] of sick.entries()) {
    const outcome = seen[i] ?? 'right';
    test.match(outcome, fault.overcome ? /^right$/ : /^(?:right$|error 5 )/, fault.name);
    test.equal(after[i], null, `${fault.name}: right afterwards`);
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
