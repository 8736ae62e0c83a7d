// Finds the devices of an earlier daemon that are still attached, by the records in the state folder.

import { devicePath } from '../kernel/device-path.js';
import { FewLines } from '../log/few-lines.js';
import type { DeviceEnvironment } from './environment.js';
import { backendOf, ownerOf, type DeviceRecord } from './record.js';
import { PINNED, pinnedMounts } from './use.js';

/** Removes the records of devices that are gone, and what lies beside no record, and warns of mounts that an unmount cannot reach. */
export function leftBehind({
  records,
  sysfs,
  log,
}: Pick<DeviceEnvironment, 'records' | 'sysfs' | 'log'>): DeviceRecord[] {
  const problems = new FewLines(log, 'error', 'state folder');
  const gone = new FewLines(log, 'info', 'state folder');
  const left = records
    .read((message) => problems.add(message))
    .filter((record) => {
      const where = devicePath(record.index);
      if (!sysfs.isConnectedAs(record.index, ownerOf(record))) {
        gone.add(`${where}: no longer attached as ${backendOf(record)}`, { device: where });
        records.remove(record.id);
        return false;
      }
      for (const at of pinnedMounts(record.index, sysfs)) {
        log.log('warn', `${where} (${backendOf(record)}): mounted at ${at} ${PINNED}`, {
          device: where,
        });
      }
      return true;
    });
  records.removeStrays();
  problems.end();
  gone.end();
  return left;
}
