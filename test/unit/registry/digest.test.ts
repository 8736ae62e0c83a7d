// Digests: their forms, and bytes that have another one.
import { test } from 'tap';
import { checkBytes, checkServedDigest, isDigest } from '../../../daemon/registry/digest.js';

const EMPTY = 'sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';
const LONG = `sha512:${'0'.repeat(128)}`;

await test('forms', (t) => {
  t.ok([EMPTY, LONG].every(isDigest));
  const wrong = [
    '',
    'sha256:',
    EMPTY.slice(0, -1),
    `${EMPTY}0`,
    EMPTY.toUpperCase(),
    `${EMPTY}\n`,
    `sha256:../${'0'.repeat(61)}`,
  ];
  t.notOk(wrong.some(isDigest));
  t.end();
});

await test('what is not served, and what is not the content', (t) => {
  t.doesNotThrow(() => checkServedDigest(EMPTY, 'x'));
  t.throws(() => checkServedDigest(LONG, 'layer 1 of x'), {
    code: 'UNSUPPORTED',
    message: /^layer 1 of x: digest "sha512:0+": only sha256 is supported$/,
  });
  t.doesNotThrow(() => checkBytes(new Uint8Array(), EMPTY, 'x'));
  t.throws(() => checkBytes(Buffer.from('a'), EMPTY, 'x'), {
    code: 'BAD_CHECKSUM',
    message: /^x: expected digest sha256:e3b0.*, got sha256:ca97.* \(1 bytes\)$/,
    facts: { digest: EMPTY },
  });
  t.end();
});
