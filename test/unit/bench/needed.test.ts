// Which bytes were read, from a log of nbdkit.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { joined, lengthOf, piecesRead } from '../../bench/registry/needed.js';

await t.test('each byte counts once', (test) => {
  const pieces = [
    { begin: 10, end: 20 },
    { begin: 0, end: 5 },
    { begin: 15, end: 18 },
    { begin: 20, end: 21 },
  ];
  test.same(joined(pieces), [
    { begin: 0, end: 5 },
    { begin: 10, end: 21 },
  ]);
  test.equal(lengthOf(joined(pieces)), 16);
  test.same(joined([]), []);
  test.end();
});

await t.test('reads of a log', (test) => {
  const log = join(test.testdir(), 'log');
  writeFileSync(
    log,
    [
      '2026-11-27 00:53:54.866296 connection=1 Connect export="" tls=0 size=0x40000000',
      '2026-11-27 00:53:54.866474 connection=2 Read id=1 offset=0x3000 count=0x1000 ...',
      '2026-11-27 00:53:54.866480 connection=2 ...Read id=1 return=0 (Success)',
      '2026-11-27 00:53:54.866581 connection=3 Read id=1 offset=0x0 count=0x4000 ...',
    ].join('\n'),
  );
  test.same(piecesRead(log), [{ begin: 0, end: 0x4000 }]);
  test.end();
});
