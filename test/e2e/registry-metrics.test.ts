// What the metrics say about reads that hang: while they hang, and afterwards.
import { join } from 'node:path';
import t from 'tap';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { RawNbdClient } from '../support/nbd-client.js';
import {
  metricOf as valueOf,
  readMetrics,
  untilMetrics as until,
} from '../support/metrics-reader.js';
import { readOrError, remoteImage, remoteOptions } from '../support/registry/remote-image.js';

t.setTimeout(170_000);

const MIB = 1 << 20;

await t.test('a hung read is seen while it hangs, by its export', async (test) => {
  const { front, files, name } = await remoteImage(test, { files: { size: 8 * MIB } });
  const folder = shortFolder(test);
  const path = join(folder, 'm.sock');
  const exports = ['--export', `hangs=${name}`, '--export', `other=${name}`];
  const options = remoteOptions([front], join(folder, 'cache'));
  const args = [...exports, ...options, '--metrics-listen', `unix://${path}`];
  const daemon = await DaemonProcess.start(test, args);
  const client = await RawNbdClient.open(daemon.unix, 'hangs');
  const stalled = front.rule({ match: { kind: 'data' }, action: { do: 'stall' } });
  const [offset, length] = [3 * MIB, 4096];
  client.request({ cookie: 1n, offset, length });
  const oldest = 'obd_read_oldest_seconds{export="hangs"}';
  const first = await until(path, (body) => valueOf(body, oldest) > 0);
  test.equal(valueOf(first, 'obd_reads_parked{export="hangs"}'), 1);
  const later = await until(path, (body) => valueOf(body, oldest) > valueOf(first, oldest));
  test.notMatch(later, 'export="other",cached', 'the other export has not waited');
  test.equal(valueOf(later, 'obd_read_seconds_count{export="hangs",cached="no"}'), 0);
  stalled.release();
  const { error } = await client.reply(60_000);
  test.equal(error, 0);
  test.ok(
    (await client.take(length, 60_000)).equals(files.device.subarray(offset, offset + length)),
  );
  const over = await readMetrics(path);
  test.equal(valueOf(over, oldest), 0);
  test.equal(valueOf(over, 'obd_reads_parked{export="hangs"}'), 0);
  test.equal(valueOf(over, 'obd_read_seconds_count{export="hangs",cached="no"}'), 1);
  test.ok(
    valueOf(over, 'obd_read_seconds_sum{export="hangs",cached="no"}') >= valueOf(later, oldest),
  );
  client.destroy();
  await daemon.stop(test);
});

await t.test('a blob that is gone is seen by host, class and kind of failure', async (test) => {
  const { front, name } = await remoteImage(test, { files: { size: 8 * MIB } });
  const folder = shortFolder(test);
  const path = join(folder, 'm.sock');
  const options = remoteOptions([front], join(folder, 'cache'));
  const args = [name, ...options, '--metrics-listen', `unix://${path}`];
  const daemon = await DaemonProcess.start(test, args);
  const client = await RawNbdClient.open(daemon.unix, '');
  front.rule({ match: { kind: 'data' }, action: { do: 'status', status: 404 } });
  test.equal(await readOrError(client, 3 * MIB, 4096), 5);
  const body = await readMetrics(path);
  const errors = `obd_fetch_errors_total{host="${front.host}",class="demand",failure="gone"}`;
  test.equal(valueOf(body, errors), 1);
  const asked = `obd_requests_total{host="${front.host}",kind`;
  test.equal(valueOf(body, `${asked}="blob",status="404"}`), 2, 'once more: another node');
  test.ok(valueOf(body, `${asked}="manifest",status="200"}`) >= 1);
  client.destroy();
  await daemon.stop(test);
});
