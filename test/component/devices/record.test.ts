// Records of attached devices on disk: written atomically, read with care.
import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { fileRef } from '../../../daemon/blob/blob-ref.js';
import { RECORD } from '../../support/device-record.js';
import {
  DeviceRecords,
  MAX_RECORDS,
  backendOf,
  bootId,
  ownerOf,
  type DeviceRecord,
} from '../../../daemon/devices/record.js';

const record = RECORD;
const other: DeviceRecord = { ...record, id: 'fedcba9876543210', export: null, kernelPid: 7 };
const fail = (message: string): void => {
  throw new Error(message);
};

await test('records are written, read, changed and removed', async (t) => {
  const folder = t.testdir();
  const records = new DeviceRecords(folder);
  t.same(records.read(fail), []);
  records.write(other);
  records.write(record);
  t.same(records.read(fail), [record, other]);
  t.same(readdirSync(folder).toSorted(), [`${record.id}.json`, `${other.id}.json`]);
  t.equal(statSync(join(folder, `${record.id}.json`)).mode & 0o777, 0o600);
  records.write({ ...record, kernelPid: 99 });
  t.same(records.read(fail), [{ ...record, kernelPid: 99 }, other]);
  records.remove(record.id);
  records.remove(record.id);
  t.same(records.read(fail), [other]);
});

await test('what lies beside the layers is kept', (t) => {
  const folder = t.testdir();
  const records = new DeviceRecords(folder);
  const beside = { tocBlob: '/toc', tocDigest: null, ztocs: [null, '/ztoc'], layer: 2 };
  records.write({ ...record, beside });
  t.same(records.read(fail), [{ ...record, beside }]);
  records.write(record);
  const text = readFileSync(join(folder, `${record.id}.json`), 'utf8');
  t.notMatch(text, /beside/, 'older versions can read a record without it');
  t.same(records.read(fail), [record]);
  t.end();
});

await test('an incomplete write is ignored', async (t) => {
  const folder = t.testdir();
  const records = new DeviceRecords(folder);
  const leftover = join(folder, `${record.id}.json.new`);
  writeFileSync(leftover, '{"version": 1, "id": "01234');
  t.same(records.read(fail), [], 'the device had not been attached');
  records.write(record);
  writeFileSync(leftover, '{"ver');
  t.same(records.read(fail), [record], 'the earlier record counts');
  records.write({ ...record, kernelPid: 5 });
  t.same(records.read(fail), [{ ...record, kernelPid: 5 }]);
  t.notOk(existsSync(leftover));
});

await test('files that are not records are reported and left alone', async (t) => {
  const folder = t.testdir();
  const records = new DeviceRecords(folder);
  records.write(record);
  const texts = [
    '',
    '{"version": 1, "id": "0123',
    '[]',
    JSON.stringify({ ...other, version: 2 }),
    JSON.stringify({ ...other, surprise: true }),
    JSON.stringify({ ...other, fingerprint: undefined }),
    JSON.stringify({ ...other, id: '../../etc/passwd' }),
    JSON.stringify({ ...other, index: -1 }),
    JSON.stringify(record), // the id is that of another record
    '\0'.repeat(500),
  ];
  const wrong = texts.map((text, i) => [`${i}`.padStart(16, 'a'), text] as const);
  for (const [name, text] of wrong) writeFileSync(join(folder, `${name}.json`), text);
  writeFileSync(join(folder, 'README'), 'not looked at');
  writeFileSync(join(folder, 'other.json'), JSON.stringify({ ...record, id: 'other' }));
  const problems: string[] = [];
  t.same(
    records.read((message) => problems.push(message)),
    [record],
  );
  t.equal(problems.length, wrong.length + 1);
  t.ok(problems.some((each) => each.includes('other.json: not the name of')));
  for (const [name, text] of wrong) {
    const path = join(folder, `${name}.json`);
    t.ok(problems.some((each) => each.startsWith(`${path}: not a device's record, left alone: `)));
    t.equal(readFileSync(path, 'utf8'), text);
  }
});

await test('files that are too large or would block are not read', async (t) => {
  const folder = t.testdir();
  const records = new DeviceRecords(folder);
  records.write(record);
  const at = (digit: string): string => join(folder, `${digit.repeat(16)}.json`);
  writeFileSync(join(folder, 'elsewhere'), JSON.stringify(other));
  symlinkSync(join(folder, 'elsewhere'), at('a'));
  mkdirSync(at('b'));
  spawnSync('mkfifo', [at('c')]);
  writeFileSync(at('d'), '');
  truncateSync(at('d'), 2 ** 33);
  writeFileSync(at('e'), `{"${'x'.repeat(100_000)}": 1}`);
  const problems: string[] = [];
  t.same(
    records.read((message) => problems.push(message)),
    [record],
  );
  t.match(problems.toSorted(), [
    /a symbolic link/,
    /a folder/,
    /a FIFO/,
    /8589934592 bytes/,
    /eee/,
  ]);
  t.equal(problems.length, 5);
  for (const problem of problems) t.ok(problem.length < 800, 'a line stays short');
});

await test('thousands of other files do not displace records', async (t) => {
  const folder = t.testdir();
  for (let i = 0; i < 3000; i++) writeFileSync(join(folder, `${i}.json`), '{}');
  const records = new DeviceRecords(folder);
  records.write(record);
  let problems = 0;
  t.same(
    records.read(() => problems++),
    [record],
  );
  t.equal(problems, 3000);
  for (let i = 0; i < MAX_RECORDS; i++) records.write({ ...record, id: `${i}`.padStart(16, '0') });
  const told: string[] = [];
  t.equal(
    records.read((message) => told.push(message)).length,
    MAX_RECORDS,
    'no more than the limit',
  );
  t.ok(told.some((each) => each.includes(`no more than ${MAX_RECORDS}`)));
});

await test('obstacles at the place of a record are reported or replaced', async (t) => {
  const folder = t.testdir();
  const records = new DeviceRecords(folder);
  spawnSync('mkfifo', [join(folder, `${record.id}.json.new`)]);
  records.write(record);
  symlinkSync(join(folder, 'elsewhere'), join(folder, `${record.id}.json.new`));
  records.write(other);
  records.write({ ...record, kernelPid: 5 });
  t.same(records.read(fail), [{ ...record, kernelPid: 5 }, other]);
  t.notOk(existsSync(join(folder, 'elsewhere')), 'links are not followed');
  const image = Array.from({ length: 255 }, () => fileRef(`/${'x'.repeat(9000)}`));
  t.throws(() => records.write({ ...record, image }), { code: 'LIMIT', message: /nbd3/ });
  t.same(records.read(fail), [{ ...record, kernelPid: 5 }, other], 'the earlier record stays');
});

await test('an image of files is written as strings, as in earlier versions', (t) => {
  const folder = t.testdir();
  new DeviceRecords(folder).write(record);
  const written = readFileSync(join(folder, `${record.id}.json`), 'utf8');
  t.same((JSON.parse(written) as { image: unknown }).image, ['/images/web.json']);
  t.end();
});

await test('the owner of a device is found by its backend name', async (t) => {
  t.equal(backendOf(record), 'overlaybd-nbd:0123456789abcdef@0');
  t.equal(
    backendOf({ ...record, user: null }),
    'overlaybd-nbd:0123456789abcdef',
    'as it was named',
  );
  t.same(ownerOf(record), { backend: backendOf(record), kernelPid: null });
  const now = { ...other, boot: bootId() };
  t.same(ownerOf(now), { backend: backendOf(other), kernelPid: 7 });
  for (const boot of [null, 'f0e1d2c3-0000-4000-8000-000000000000']) {
    const before = ownerOf({ ...other, boot });
    t.equal(before.kernelPid, null, 'of an earlier boot: another process may have the number now');
  }
});
