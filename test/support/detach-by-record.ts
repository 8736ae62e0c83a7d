// `detach --all` where the only trace of a device is its record: the kernel does not have it.
import { join } from 'node:path';
import type { Test } from 'tap';
import { DeviceRecords } from '../../daemon/devices/record.js';
import { runDaemon } from './daemon-process.js';
import { RECORD } from './device-record.js';

/** Writes a record into a state folder, and checks that the command removes it. */
export async function detachByRecord(t: Test, state: string): Promise<void> {
  const records = new DeviceRecords(join(state, 'devices'));
  records.write({ ...RECORD, index: 4000 });
  const { code, stderr } = await runDaemon(['detach', '--all', '--state', state]);
  t.equal(code, 0, stderr);
  const left = records.read(() => undefined);
  t.same(left, [], 'the record is removed');
}
