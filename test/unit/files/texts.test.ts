import { test } from 'tap';
import {
  bytesOf,
  escapedName,
  exactTime,
  modeText,
  octalMode,
  plainName,
  textOf,
  timeText,
} from '../../../daemon/files/texts.js';

await test('modes as ls shows them', (t) => {
  t.equal(modeText({ type: 'reg', mode: 0o644 }), '-rw-r--r--');
  t.equal(modeText({ type: 'dir', mode: 0o1777 }), 'drwxrwxrwt');
  t.equal(modeText({ type: 'dir', mode: 0o1776 }), 'drwxrwxrwT');
  t.equal(modeText({ type: 'reg', mode: 0o6755 }), '-rwsr-sr-x');
  t.equal(modeText({ type: 'reg', mode: 0o6644 }), '-rwSr-Sr--');
  t.equal(modeText({ type: 'symlink', mode: 0o777 }), 'lrwxrwxrwx');
  t.equal(modeText({ type: 'char', mode: 0 }), 'c---------');
  t.equal(modeText({ type: 'block', mode: 0 }), 'b---------');
  t.equal(modeText({ type: 'fifo', mode: 0 }), 'p---------');
  t.equal(octalMode(0o75), '0075');
  t.end();
});

await test('times of any size', (t) => {
  t.equal(timeText(0), '1970-01-01 00:00');
  t.equal(timeText(-1), '1969-12-31 23:59');
  t.equal(timeText(2 ** 52), `@${2 ** 52}`);
  t.equal(timeText(1e12), '@1000000000000');
  t.equal(exactTime({ mtime: 1, mtimeNs: 5 }), '1970-01-01T00:00:01.000000005Z');
  t.equal(exactTime({ mtime: -(2 ** 52), mtimeNs: 5 }), `@-${2 ** 52}.000000005`);
  t.end();
});

await test('names are bytes, and a terminal gets escapes', (t) => {
  t.equal(escapedName(bytesOf('a\u001b[2Jé\n')), bytesOf(String.raw`a\u{1b}[2Jé\n`));
  t.equal(plainName('\xff\n'), '\xff\n');
  t.equal(textOf(bytesOf('é')), 'é');
  t.end();
});
