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
    (name) => (name === 'web' ? 'registry.example/web:1' : null),
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
