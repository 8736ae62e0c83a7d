// Digests as texts: what is one, and what is in it.
import { test } from 'tap';
import {
  isSha256,
  sha256Bytes,
  sha256Digits,
  sha256Of,
  sha256Text,
} from '../../../daemon/lib/sha256.js';

const EMPTY = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

await test('a digest', (t) => {
  t.equal(sha256Of(new Uint8Array()), EMPTY);
  t.ok(isSha256(EMPTY));
  t.equal(sha256Digits(EMPTY), EMPTY.slice(7));
  const bytes = sha256Bytes(EMPTY);
  t.equal(bytes?.length, 32);
  t.equal(sha256Text(bytes ?? Buffer.alloc(0)), EMPTY);
  t.end();
});

await test('other texts', (t) => {
  const wrong = [
    '',
    'sha256:',
    EMPTY.slice(7),
    EMPTY.slice(0, -1),
    `${EMPTY}0`,
    EMPTY.toUpperCase(),
    `${EMPTY}\n`,
    EMPTY.replace('sha256', 'sha512'),
    `sha256:../${'0'.repeat(61)}`,
  ];
  for (const text of wrong) {
    t.notOk(isSha256(text), text);
    t.equal(sha256Digits(text), null, text);
    t.equal(sha256Bytes(text), null, text);
  }
  t.end();
});
