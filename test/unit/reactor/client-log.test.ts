// Clients can cause a bounded number of log lines only, and all counts add up.
import { test } from 'tap';
import { CLOSED_LINES, READ_FAILURE_LINES, REPEATED_LINES } from '../../../daemon/log/limits.js';
import type { LogFields } from '../../../daemon/log/logger.js';
import type {
  CloseKind,
  ConnectionSummary,
  ReadFailureReport,
} from '../../../daemon/reactor/messages.js';
import { ClientLog } from '../../../daemon/reactor/client-log.js';
import { testPeer } from '../../support/test-peer.js';

const INTERVAL = 10_000;

class World {
  now = 0;
  readonly lines: string[] = [];
  readonly fields: LogFields[] = [];
  readonly log = new ClientLog(
    {
      log: (level, message, fields = {}) => {
        this.lines.push(`${level} ${message}`);
        this.fields.push(fields);
      },
    },
    () => this.now,
  );

  later(): string[] {
    this.lines.splice(0);
    this.now += INTERVAL;
    this.log.sweep();
    return this.lines;
  }
}

const report = (key: string | null, count = 1): ReadFailureReport => ({
  key,
  count,
  export: 'web',
  peer: '10.0.0.7:1',
  offset: 4096,
  length: 512,
  code: 'BAD_CHECKSUM',
  message: 'layer.obd: block 7',
});

const closed = (
  id: number,
  peer: string,
  kind: CloseKind = 'ended',
  reason = 'client hung up',
): ConnectionSummary => ({
  id,
  peer: testPeer(peer, peer.replace(/^pid \d+ |:\d+$/g, '')),
  name: peer,
  export: null,
  reason,
  kind,
  requests: 1,
  errors: 2,
  bytesSent: 3,
  tls: null,
});

await test('refused requests are logged once for each reason, then counted', (t) => {
  const world = new World();
  const refused = {
    count: 0,
    mixed: false,
    export: 'web',
    peer: '10.0.0.7:1',
    command: 'NBD_CMD_WRITE',
    offset: 4096,
    length: 512,
    error: 'NBD_EPERM',
    reason: 'the export is read-only',
  };
  world.log.requestRefused(refused);
  world.log.requestRefused({ ...refused, count: 7 });
  world.log.requestRefused({ ...refused, count: 9, mixed: true });
  const what = 'NBD_CMD_WRITE of 512 bytes at 4096: the export is read-only (NBD_EPERM)';
  const who = 'debug 10.0.0.7:1: export "web":';
  t.same(world.lines, [
    `${who} refused ${what}`,
    `${who} refused 7 more requests likewise, the last: ${what}`,
    `${who} refused 9 more requests for further reasons, the last: ${what}`,
  ]);
  t.match(world.fields[1], { command: 'NBD_CMD_WRITE', error: 'NBD_EPERM', more: 7 });
  t.end();
});

await test('failed reads are logged once for each place, then counted', (t) => {
  const world = new World();
  world.log.readsFailed(report('k'));
  world.log.readsFailed(report('k', 40_000));
  world.log.readsFailed(report(null, 9));
  t.same(world.lines, [
    'error export "web": read of 512 bytes at 4096 for 10.0.0.7:1 failed: layer.obd: block 7',
  ]);
  t.same(world.fields, [
    { export: 'web', peer: '10.0.0.7:1', offset: 4096, length: 512, code: 'BAD_CHECKSUM' },
  ]);
  t.same(world.later(), [
    'error export "web": 40000 more reads failed likewise, the last: read of 512 bytes at 4096 for 10.0.0.7:1: layer.obd: block 7',
    'error 9 more reads failed in further places, the last: export "web": read of 512 bytes at 4096 for 10.0.0.7:1: layer.obd: block 7',
  ]);
  t.match(world.fields[1], { more: 40_000 });
  t.end();
});

await test('an image with damage everywhere makes a bounded number of lines', (t) => {
  const world = new World();
  for (let i = 0; i < 100_000; i++) world.log.readsFailed(report(`block ${i}`));
  t.ok(world.lines.length <= READ_FAILURE_LINES.keys, `${world.lines.length} lines`);
  t.equal(world.later().length, 1);
  t.end();
});

await test('168,000 connections of one peer, and of as many peers', (t) => {
  const world = new World();
  for (let i = 0; i < 168_000; i++) world.log.closed(closed(i, `10.0.0.7:${i % 60_000}`));
  t.equal(world.lines.length, CLOSED_LINES.burst);
  t.equal(
    world.lines[0],
    'info 10.0.0.7:0: connection 0 closed: client hung up; 1 request, 2 errors, 3 bytes sent',
  );
  const [line, ...more] = world.later();
  t.same(more, []);
  t.match(
    line,
    /^info 167968 more connections of 10\.0\.0\.7 closed, the last: .*connection 167999/,
  );

  const many = new World();
  for (let i = 0; i < 168_000; i++) many.log.closed(closed(i, `[2001:db8::${i.toString(16)}]:1`));
  t.equal(many.lines.length, CLOSED_LINES.keys, 'one line for each peer that has its own count');
  t.match(many.later().at(-1), /more connections of further peers closed/);
  t.end();
});

await test('many peers with many connections share the lines of an interval', (t) => {
  const world = new World();
  for (let i = 0; i < CLOSED_LINES.keys * CLOSED_LINES.burst; i++)
    world.log.closed(closed(i, `10.0.0.${i % CLOSED_LINES.keys}:1`));
  t.equal(world.lines.length, CLOSED_LINES.keys + CLOSED_LINES.lines);
  t.end();
});

await test('a name or number that a client chose does not make a new kind of line', (t) => {
  const world = new World();
  for (let i = 0; i < 1000; i++) {
    world.log.closed(closed(i, 'a', 'refused', `no export named "${i}"`));
    world.log.closed(closed(i, 'a', 'protocol', `option magic 0x${i}: not IHAVEOPT`));
  }
  t.equal(world.lines.length, 2 * CLOSED_LINES.burst);
  t.equal(world.later().length, 2);
  t.end();
});

await test('the level tells who caused the end, and each reason has its own lines', (t) => {
  const world = new World();
  const levels: [CloseKind, string][] = [
    ['ended', 'info'],
    ['failed', 'info'],
    ['refused', 'warn'],
    ['protocol', 'warn'],
    ['tls', 'warn'],
    ['bug', 'error'],
  ];
  for (let i = 0; i < 1000; i++) world.log.closed(closed(i, 'pid 1 uid 7'));
  for (const [kind, level] of levels) {
    world.lines.splice(0);
    world.log.closed(closed(1, 'pid 2 uid 7', kind, kind));
    t.match(world.lines, [new RegExp(`^${level} pid 2 uid 7: connection 1`)]);
  }
  t.end();
});

await test('refused peers, failed accepts and dead threads: few lines', (t) => {
  const world = new World();
  for (let i = 0; i < 100; i++) world.log.refused('peer a', 'a', 'why');
  world.log.refused('peer b', 'b', 'else');
  for (let i = 0; i < 50; i++) world.log.acceptFailed('unix:///s', 'accepting failed: EMFILE');
  for (let i = 0; i < 50; i++) world.log.threadDied('Error: x');
  t.same(world.lines, [
    'warn a: refused: why',
    'warn b: refused: else',
    'error unix:///s: accepting failed: EMFILE',
    'error reactor thread died: Error: x',
  ]);
  t.same(world.later(), [
    'warn a: refused: why (99 more times since the last such line)',
    'error unix:///s: accepting failed: EMFILE (49 more times since the last such line)',
    'error reactor thread died: Error: x (49 more times since the last such line)',
  ]);
  for (let i = 0; i < 100_000; i++) world.log.refused(`peer ${i}`, `${i}`, 'why');
  t.ok(world.lines.length <= 2 * REPEATED_LINES.keys);
  t.end();
});

await test('the line of a failed read has the image of its export as a field', (t) => {
  const fields: LogFields[] = [];
  const log = new ClientLog(
    { log: (_level, _message, more = {}) => void fields.push(more) },
    () => 0,
    { nameOf: (name) => (name === 'web' ? 'registry.example/web:1' : null), filesOf: () => null },
  );
  log.readsFailed(report('a'));
  log.readsFailed({ ...report('b'), export: 'gone' });
  log.readsFailed({ ...report('c'), image: 'registry.example/told:1' });
  t.match(fields, [
    { image: 'registry.example/web:1', export: 'web', code: 'BAD_CHECKSUM' },
    { export: 'gone' },
    { image: 'registry.example/told:1' },
  ]);
  t.notOk('image' in (fields[1] ?? {}));
  t.end();
});

await test('failed reads of one file share a line, wherever in the file they are', async (t) => {
  let now = 0;
  const lines: string[] = [];
  const fields: LogFields[] = [];
  const answers = new Map<number, (files: string | null) => void>();
  const log = new ClientLog(
    {
      log: (_level, message, more = {}) => {
        lines.push(message);
        fields.push(more);
      },
    },
    () => now,
    {
      nameOf: () => null,
      filesOf: ({ offset }) => new Promise((resolve) => answers.set(offset, resolve)),
    },
  );
  for (let i = 0; i < 6; i++) log.readsFailed({ ...report(`block ${i}`), offset: i * 4096 });
  t.same(lines, [], 'the files are being looked for');
  for (let i = 0; i < 4; i++) answers.get(i * 4096)?.('file "a" of base.tar');
  answers.get(4 * 4096)?.('file "b" of base.tar');
  answers.get(5 * 4096)?.(null);
  await new Promise((resolve) => setImmediate(resolve));
  const ofA = lines.filter((line) => line.includes('file "a"'));
  t.ok(ofA.length > 0 && ofA.length <= READ_FAILURE_LINES.burst, `${ofA.length} lines of a`);
  t.match(lines[0], /: layer\.obd: block 7; file "a" of base\.tar$/);
  t.match(fields[0], { files: 'file "a" of base.tar', code: 'BAD_CHECKSUM' });
  t.equal(lines.filter((line) => line.includes('file "b"')).length, 1);
  t.equal(lines.filter((line) => !line.includes('file')).length, 1, 'not found');
  lines.splice(0);
  now += INTERVAL;
  log.sweep();
  const [more = ''] = lines.filter((line) => line.includes('file "a"'));
  t.match(more, new RegExp(`${4 - ofA.length} more reads? failed likewise, the last: .*file "a"`));

  log.readsFailed({ ...report('c'), files: 'file "c" of image.cfs' });
  t.match(lines.at(-1), /block 7$/, 'an error that has named its file');
  const before = lines.length;
  log.readsFailed(report('late'));
  log.sweep(true);
  t.equal(lines.length, before + 1, 'at the end nothing is looked for');
  answers.get(4096)?.('file "late" of base.tar');
  await new Promise((resolve) => setImmediate(resolve));
  t.equal(lines.length, before + 1, 'and nothing is said twice');
});
