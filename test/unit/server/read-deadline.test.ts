// The read deadline is shorter than the timeout of devices; otherwise a warning is logged.
import t from 'tap';
import { DEFAULT_READ_DEADLINE } from '../../../daemon/config/daemon-config.js';
import { files } from '../../../daemon/native/file.js';
import { DRAIN_TIMEOUT_MS } from '../../../daemon/reactor/limits.js';
import { warnOfTimeouts } from '../../../daemon/server/read-deadline.js';
import { DEFAULT_TIMEOUT_SECONDS } from '../../../daemon/kernel/device-settings.js';

t.teardown(() => files.deadline(1000 * DEFAULT_READ_DEADLINE));

await t.test('the default deadlines fit together', (test) => {
  test.ok(DEFAULT_READ_DEADLINE < DEFAULT_TIMEOUT_SECONDS);
  test.ok(1000 * DEFAULT_READ_DEADLINE < DRAIN_TIMEOUT_MS, 'shutdown waits for stuck reads');
  test.equal(files.deadline(), 1000 * DEFAULT_READ_DEADLINE, 'the addon has the same default');
  test.end();
});

await t.test('a device timeout that is not longer than the read deadline: a warning', (test) => {
  files.deadline(30_000);
  const lines: string[] = [];
  const devices = [31, 30, 20].map((timeoutSeconds, i) => {
    return { device: `/dev/nbd${i}`, timeoutSeconds };
  });
  warnOfTimeouts(devices, { log: (level, message) => void lines.push(`${level}: ${message}`) });
  test.equal(lines.length, 2);
  test.match(lines[0], /^warn: \/dev\/nbd1: its timeout of 30 s is not above the 30 s that a read/);
  test.end();
});
