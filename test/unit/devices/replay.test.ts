// What is kept of devices: if it cannot be kept, a line says so, and the device is attached all the same.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { DeviceRecords } from '../../../daemon/devices/record.js';
import { keepContents } from '../../../daemon/devices/contents.js';
import { keepMetadata, Replays } from '../../../daemon/devices/replay.js';
import type { LogFields } from '../../../daemon/log/logger.js';
import { OpenImages } from '../../../daemon/image/open-images.js';
import { sourceOfWords } from '../../../daemon/image/plan/image-source.js';
import { metadataDigestOf } from '../../../daemon/image/disks/spec.js';
import { RECORD } from '../../support/device-record.js';
import { rewriteAsOther } from '../../support/other-layout.js';
import { writeUstar } from '../../support/ustar.js';

await test('what cannot be kept is a line, and what is kept is used by all devices of an image', async (t) => {
  const folder = t.testdir({ devices: {} });
  const layer = join(folder, 'layer.tar');
  writeFileSync(layer, writeUstar([{ name: 'a', bytes: Buffer.alloc(9000, 'a') }]));
  const lines: string[] = [];
  const codes: unknown[] = [];
  const log = {
    log(level: string, message: string, fields: LogFields = {}) {
      lines.push(`${level}: ${message}`);
      codes.push(fields.code);
    },
  };
  const images = new OpenImages(log, false);
  t.teardown(() => images.close());
  const held = await images.open(sourceOfWords([layer]));
  const metadata = metadataDigestOf(held.image.disk);
  const record = { ...RECORD, metadata, fingerprint: held.fingerprint };

  const nowhere = new DeviceRecords(join(folder, 'missing'));
  await keepMetadata(record, held, { records: nowhere, log });
  t.match(lines, [
    /^warn: \/dev\/nbd3: its metadata are not kept in .*: ENOENT.*; a daemon of another/,
  ]);
  t.same(codes, ['NOT_FOUND'], 'not a bug of the daemon');
  keepContents(record, held, { records: nowhere, log });
  t.match(lines[1], /^warn: \/dev\/nbd3: the digests of its layers are not kept: .*: ENOENT/);
  t.same(codes, ['NOT_FOUND', 'NOT_FOUND']);
  await t.rejects(
    new Replays({ records: nowhere, log }).replayed(record, held),
    { code: 'NOT_FOUND' },
    'nothing was kept',
  );

  const records = new DeviceRecords(join(folder, 'devices'));
  const environment = { records, log };
  await keepMetadata({ ...record, metadata: 'e'.repeat(64) }, held, environment);
  await keepMetadata(record, held, environment);
  await keepMetadata(record, held, environment);
  t.equal(lines.length, 2);
  const other = await rewriteAsOther(records, record);
  const replays = new Replays(environment);
  const [one, two] = await Promise.all([
    replays.replayed(other, held),
    replays.replayed(other, held),
  ]);
  t.not(one.key, held.key);
  t.equal(one.image.disk, two.image.disk, 'memory that both devices share');
  t.equal(metadataDigestOf(one.image.disk), other.metadata);
  t.equal(one.image.size, held.image.size);
  images.release(one);
  t.equal(lines.length, 4);
});
