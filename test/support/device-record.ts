// The record of an attached device, for tests that need one.
import { fileRef } from '../../daemon/blob/blob-ref.js';
import type { DeviceRecord } from '../../daemon/devices/record.js';

/** /dev/nbd3 with the export "web" of one file. */
export const RECORD: DeviceRecord = {
  version: 1,
  id: '0123456789abcdef',
  index: 3,
  export: 'web',
  image: [fileRef('/images/web.json')],
  fingerprint: 'f00d',
  metadata: null,
  sociIndex: null,
  size: 1 << 20,
  since: '2026-01-01T00:00:00.000Z',
  connections: 2,
  timeoutSeconds: 10,
  deadConnTimeoutSeconds: 90,
  blockSize: 512,
  kernelPid: null,
  boot: null,
  user: 0,
  onClose: false,
  beside: null,
  partition: null,
  sizeMultiple: null,
};
