// The forms of --spin and of "spin" in daemon.json.
import { test } from 'tap';
import { parseDaemonConfig } from '../../../daemon/config/daemon-config.js';
import { parseSpin } from '../../../daemon/config/spin.js';

await test('forms on the command line', (t) => {
  t.equal(parseSpin('off'), 0);
  t.equal(parseSpin('auto'), 50);
  t.equal(parseSpin('1'), 1);
  t.equal(parseSpin('1000'), 1000);
  for (const wrong of ['', '0', '1001', '-1', '1.5', '1e2', '0x10', ' 5', '99999999999', 'on']) {
    t.equal(parseSpin(wrong), null, JSON.stringify(wrong));
  }
  t.end();
});

const spinOf = (value: unknown): unknown =>
  parseDaemonConfig(JSON.stringify({ spin: value }), 'd.json').spin;

await test('forms in daemon.json', (t) => {
  t.equal(spinOf('off'), 0);
  t.equal(spinOf('auto'), 50);
  t.equal(spinOf(20), 20);
  for (const wrong of [0, 1001, 2.5, '20', true, null]) {
    t.throws(() => spinOf(wrong), {
      code: 'BAD_CONFIG',
      message: `d.json: spin: ${JSON.stringify(wrong)} is not "off", "auto" or microseconds from 1 to 1000`,
    });
  }
  t.end();
});
