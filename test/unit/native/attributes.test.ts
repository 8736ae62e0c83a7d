// Attributes that Node.js has no calls for. Conventions: arguments.test.ts.
import { closeSync, lstatSync, openSync, symlinkSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import { test } from 'tap';
import { attributes } from '../../../daemon/native/attributes.js';

const ITSELF = Buffer.alloc(0);
const { EEXIST, ENODATA, ENOTSUP, ERANGE, EPERM } = constants.errno;

await test('times, to the nanosecond and before 1970, of what a name is and of an open file', (t) => {
  const folder = t.testdir({ file: 'x' });
  symlinkSync('nowhere', join(folder, 'link'));
  const fd = openSync(folder, 'r');
  const times = (name: string): bigint => lstatSync(join(folder, name), { bigint: true }).mtimeNs;
  t.equal(attributes.setTimes(fd, Buffer.from('file'), 5, 0, 123_456_789), 0);
  t.equal(times('file'), 5_123_456_789n);
  t.equal(attributes.setTimes(fd, Buffer.from('link'), 5, 1, 1), 0);
  t.equal(times('link'), -4_999_999_999n);
  t.equal(attributes.setTimes(fd, ITSELF, 7, 0, 0), 0);
  t.equal(times(''), 7_000_000_000n);
  t.equal(attributes.setTimes(fd, Buffer.from('none'), 5, 0, 0), -constants.errno.ENOENT);
  t.throws(() => attributes.setTimes(fd, ITSELF, 0, 0, 1e9), RangeError);
  closeSync(fd);
  t.end();
});

await test('pipes and devices', (t) => {
  const folder = t.testdir({});
  const fd = openSync(folder, 'r');
  const name = Buffer.from('pip\xe9', 'latin1');
  t.equal(attributes.makeNode(fd, name, 0o010_644, 0, 0), 0);
  t.ok(lstatSync(Buffer.concat([Buffer.from(`${folder}/`), name])).isFIFO());
  t.equal(attributes.makeNode(fd, name, 0o010_644, 0, 0), -EEXIST);
  const made = attributes.makeNode(fd, Buffer.from('null'), 0o020_666, 1, 3);
  if (process.geteuid?.() === 0 && made !== -EPERM) {
    t.equal(made, 0);
    t.equal(lstatSync(join(folder, 'null')).rdev, 0x103);
  } else t.equal(made, -EPERM);
  closeSync(fd);
  t.end();
});

await test('xattrs', (t) => {
  const folder = t.testdir({});
  writeFileSync(join(folder, 'file'), '');
  const fd = openSync(folder, 'r');
  const file = openSync(join(folder, 'file'), 'r');
  const [name, value] = [Buffer.from('user.name'), Uint8Array.of(0, 255)];
  const set = attributes.setXattr(fd, Buffer.from('file'), name, value);
  if (set === -ENOTSUP) {
    t.comment('NOT TESTED: this file system has no xattrs');
  } else {
    t.equal(set, 0);
    const into = Buffer.alloc(100);
    t.equal(attributes.getXattr(file, ITSELF, name, into), 2);
    t.same(into.subarray(0, 2), value);
    t.equal(attributes.getXattr(fd, Buffer.from('file'), name, into.subarray(0, 1)), -ERANGE);
    t.equal(attributes.getXattr(file, ITSELF, Buffer.from('user.none'), into), -ENODATA);
    t.equal(attributes.setXattr(file, ITSELF, Buffer.from('user.more'), value), 0);
    const size = attributes.listXattrs(file, ITSELF, Buffer.alloc(0));
    t.equal(attributes.listXattrs(fd, Buffer.from('file'), into), size);
    const names = into.toString('latin1', 0, size).split('\0').slice(0, -1);
    t.same(names.filter((each) => each.startsWith('user.')).toSorted(), ['user.more', 'user.name']);
  }
  t.throws(() => attributes.setXattr(fd, Buffer.from('a\0b'), name, value), RangeError);
  closeSync(fd);
  closeSync(file);
  t.end();
});
