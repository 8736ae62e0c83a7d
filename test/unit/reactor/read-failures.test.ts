// Reports of failed reads: equal ones together, and never more than the control plane takes.
import { test } from 'tap';
import { OverlaybdError, formatError } from '../../../daemon/errors.js';
import type { ReadFailureReport } from '../../../daemon/reactor/messages.js';
import {
  MAX_UNTAKEN_REPORTS,
  REPORT_LIMITS,
  ReadFailures,
} from '../../../daemon/reactor/read-failures.js';

/** Without its stack, which takes most of the time of thousands of them. */
function badBlock(block: number): Error {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  const error = formatError({
    blob: 'layer.obd',
    section: `block ${block}`,
    offset: block * 100,
    expected: 'checksum 0x1',
    got: '0x2',
    code: 'BAD_CHECKSUM',
  });
  Error.stackTraceLimit = stackTraceLimit;
  return error;
}

const remote = (digest: string, code: 'REMOTE' | 'AUTH', range: string): Error =>
  new OverlaybdError(code, `${digest}, bytes ${range}: fails`, { facts: { digest, range } });

class World {
  now = 0;
  readonly reports: ReadFailureReport[] = [];
  readonly failures = new ReadFailures(
    (report) => this.reports.push(report),
    () => this.now,
  );

  later(): void {
    this.now += REPORT_LIMITS.intervalMs;
    this.failures.sweep();
  }

  /** Failed reads that were reported. */
  get told(): number {
    return this.reports.reduce((sum, { count }) => sum + count, 0);
  }
}

await test('one bad block that is read repeatedly is reported once, then counted', (t) => {
  const world = new World();
  for (let i = 0; i < 100_000; i++) {
    world.failures.add('web', `peer ${i}`, badBlock(7), { offset: 4096 + (i % 9), length: 512 });
  }
  t.match(world.reports, [
    { count: 1, export: 'web', peer: 'peer 0', offset: 4096, length: 512, code: 'BAD_CHECKSUM' },
  ]);
  t.match(world.reports[0]?.message, /^layer\.obd: block 7 at byte 700: expected checksum/);
  const facts = { blob: 'layer.obd', section: 'block 7', blobOffset: 700, got: '0x2' };
  t.match(
    world.reports[0],
    { ...facts, offset: 4096 },
    'facts are fields, and the offset of the read stays',
  );
  world.later();
  t.equal(world.reports.length, 2);
  t.match(world.reports[1], { count: 99_999, peer: 'peer 99999', key: world.reports[0]?.key });
  t.end();
});

await test('different exports, blocks and places are reported separately', (t) => {
  const world = new World();
  const short = new OverlaybdError('SHORT_READ', 'raw.img: read of 9 bytes at 1: the file ends');
  world.failures.add('a', 'p', badBlock(1), { offset: 0, length: 9 });
  world.failures.add('b', 'p', badBlock(1), { offset: 0, length: 9 });
  world.failures.add('a', 'p', badBlock(2), { offset: 0, length: 9 });
  world.failures.add('a', 'p', short, { offset: 1, length: 9 });
  world.failures.add('a', 'p', short, { offset: 1 << 20, length: 9 });
  t.equal(new Set(world.reports.map(({ key }) => key)).size, 5);
  world.failures.add('a', 'p', short, { offset: 5, length: 9 });
  t.equal(world.reports.length, 5, 'places that are near each other are reported together');
  t.end();
});

await test('a registry that fails: one report for each export, blob and code, wherever they are read', (t) => {
  const world = new World();
  for (let i = 0; i < 100; i++) {
    const place = { offset: i << 20, length: 4096 };
    world.failures.add('a', 'p', remote('sha256:1', 'REMOTE', `${i}-${i}`), place);
  }
  t.match(world.reports, [{ count: 1, digest: 'sha256:1', range: '0-0' }]);
  world.later();
  t.match(world.reports[1], { count: 99, range: '99-99', key: world.reports[0]?.key });
  const place = { offset: 0, length: 1 };
  world.failures.add('a', 'p', remote('sha256:2', 'REMOTE', '0-0'), place);
  world.failures.add('a', 'p', remote('sha256:1', 'AUTH', '0-0'), place);
  world.failures.add('b', 'p', remote('sha256:1', 'REMOTE', '0-0'), place);
  t.equal(new Set(world.reports.map(({ key }) => key)).size, 4);
  t.end();
});

await test('a bug is reported with its stack', (t) => {
  const world = new World();
  world.failures.add('a', 'p', new TypeError('oops'), { offset: 0, length: 9 });
  t.match(world.reports, [{ code: 'BUG', message: /^BUG: TypeError: oops\n +at / }]);
  t.end();
});

await test('a control plane that takes no reports gets no more of them, and the later count is complete', (t) => {
  const world = new World();
  const attack = (): void => {
    for (let i = 0; i < 1000; i++) {
      world.failures.add('a', 'p', badBlock(i), { offset: 0, length: 9 });
    }
  };
  for (let second = 0; second < 100; second++) {
    attack();
    world.later();
  }
  t.equal(world.reports.length, MAX_UNTAKEN_REPORTS);
  world.later();
  t.equal(world.reports.length, MAX_UNTAKEN_REPORTS);
  for (let i = 0; i < MAX_UNTAKEN_REPORTS; i++) world.failures.taken();
  world.later();
  t.equal(world.told, 100 * 1000, 'no failure is lost');
  t.equal(world.reports.length, MAX_UNTAKEN_REPORTS + 1);
  t.equal(world.reports.at(-1)?.key, null, 'kinds are mixed');
  t.end();
});
