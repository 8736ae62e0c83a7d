// Counters of exports: connections that have ended and open ones are added up, and names are bounded.
import { test } from 'tap';
import {
  ExportCounters,
  MAX_COUNTED_EXPORTS,
  OTHER,
} from '../../../daemon/reactor/export-counters.js';

function did(name: string | null, requests: number) {
  return { export: name, requests, errors: 1, bytesSent: 100 * requests };
}

await test('connections that have ended and open ones are added up', (t) => {
  const counters = new ExportCounters();
  counters.ended(did('a', 2));
  counters.ended(did('a', 3));
  counters.ended(did(null, 7));
  const open = [did('a', 5), did('', 1), did(null, 9)];
  const expected = [
    ['a', { requests: 10, errors: 3, bytesSent: 1000 }],
    ['', { requests: 1, errors: 1, bytesSent: 100 }],
  ];
  t.same([...counters.totals(open)], expected);
  t.same([...counters.totals(open)], expected, 'open ones are not kept');
  t.same([...counters.totals([])], [['a', { requests: 5, errors: 2, bytesSent: 500 }]]);
  t.end();
});

await test('failures are counted by code', (t) => {
  const counters = new ExportCounters();
  counters.failed('a', 'REMOTE', 1);
  counters.failed('a', 'REMOTE', 2);
  counters.failed('a', 'IO', 1);
  t.same(
    counters.failures,
    new Map([
      [
        'a',
        new Map([
          ['REMOTE', 3],
          ['IO', 1],
        ]),
      ],
    ]),
  );
  t.end();
});

await test('exports above the limit share one name', (t) => {
  const counters = new ExportCounters();
  for (let i = 0; i < MAX_COUNTED_EXPORTS + 10; i++) {
    counters.ended(did(`e${i}`, 1));
    counters.failed(`e${i}`, 'IO', 1);
  }
  const totals = counters.totals([did('e0', 1), did('new', 1)]);
  t.equal(totals.size, MAX_COUNTED_EXPORTS + 1);
  t.equal(totals.get(OTHER)?.requests, 11);
  t.equal(totals.get('e0')?.requests, 2, 'known names stay');
  t.equal(counters.failures.size, MAX_COUNTED_EXPORTS + 1);
  t.equal(counters.failures.get(OTHER)?.get('IO'), 10);
  t.end();
});
