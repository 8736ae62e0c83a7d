// The devices of an earlier daemon, by their records: those that the kernel still has, and those that are gone.
import { join } from 'node:path';
import { mkdirSync } from 'node:fs';
import { test } from 'tap';
import { leftBehind } from '../../../daemon/devices/left-behind.js';
import { DeviceRecords, backendOf } from '../../../daemon/devices/record.js';
import { Sysfs } from '../../../daemon/kernel/sysfs.js';
import { FakeSysfs } from '../../support/fake-sysfs.js';
import { RECORD } from '../../support/device-record.js';

await test('a record stays while the kernel has its device', (t) => {
  const folder = join(t.testdir(), 'devices');
  mkdirSync(folder);
  const records = new DeviceRecords(folder);
  const fake = new FakeSysfs(t, 8);
  const sysfs = new Sysfs(fake.root);
  const gone = { ...RECORD, id: '1'.repeat(16), index: 4 };
  const replaced = { ...RECORD, id: '2'.repeat(16), index: 5 };
  for (const record of [RECORD, gone, replaced]) records.write(record);
  fake.set(3, { pid: 77, size: RECORD.size, backend: backendOf(RECORD) });
  fake.set(5, { pid: 77, size: RECORD.size, backend: 'overlaybd-nbd:another@0' });
  const lines: string[] = [];
  const log = {
    log: (level: string, message: string, fields?: object) =>
      void lines.push(`${level}: ${message} ${JSON.stringify(fields)}`),
  };
  t.same(leftBehind({ records, sysfs, log }), [RECORD]);
  t.same(
    records.read((message) => t.fail(message)),
    [RECORD],
    'the other records are removed',
  );
  t.same(lines.toSorted(), [
    `info: /dev/nbd4: no longer attached as ${backendOf(gone)} {"device":"/dev/nbd4"}`,
    `info: /dev/nbd5: no longer attached as ${backendOf(replaced)} {"device":"/dev/nbd5"}`,
  ]);
  t.end();
});
