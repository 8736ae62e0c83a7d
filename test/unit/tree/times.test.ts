import { test } from 'tap';
import { parseTime } from '../../../daemon/tree/times.js';

await test('times of RFC 3339', (t) => {
  const times: [string, number, number][] = [
    ['1970-01-01T00:00:00Z', 0, 0],
    ['2023-11-14T22:13:20Z', 1_700_000_000, 0],
    ['2023-11-14T22:13:20.5Z', 1_700_000_000, 500_000_000],
    ['2023-11-14T22:13:20.000000001Z', 1_700_000_000, 1],
    ['2023-11-15T00:13:20+02:00', 1_700_000_000, 0],
    ['2023-11-14T21:43:20.25-00:30', 1_700_000_000, 250_000_000],
    ['1960-01-01T00:00:00Z', -315_619_200, 0],
    ['0001-01-01T00:00:00Z', -62_135_596_800, 0],
    ['9999-12-31T23:59:59Z', 253_402_300_799, 0],
  ];
  for (const [text, seconds, nanoseconds] of times) {
    t.same(parseTime(text), { seconds, nanoseconds }, text);
  }
  for (const text of ['', 'now', '2023-11-14', '2023-13-14T22:13:20Z', '2023-11-14T22:13:20']) {
    t.equal(parseTime(text), null, text);
  }
  t.end();
});
