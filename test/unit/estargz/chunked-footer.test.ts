import { test } from 'tap';
import { parseChunkedFooter } from '../../../daemon/estargz/chunked-footer.js';
import { chunkedFooter } from '../../support/estargz-writer.js';

const manifest = { offset: 100, compressed: 200, uncompressed: 300 };

await test('both footers', (t) => {
  for (const form of ['old', 'new'] as const) {
    const footer = chunkedFooter(form, manifest);
    t.equal(footer.length, form === 'old' ? 48 : 72);
    t.same(parseChunkedFooter(footer, 'blob', 1000), manifest);
  }
  t.equal(parseChunkedFooter(Buffer.alloc(72), 'blob', 1000), null);
  t.equal(parseChunkedFooter(Buffer.alloc(3), 'blob', 3), null);
  const changed = chunkedFooter('new', manifest);
  changed[0] = 0;
  t.equal(parseChunkedFooter(changed, 'blob', 1000), null, 'no skippable frame');
  t.end();
});

await test('a manifest outside the blob, or one that is too long', (t) => {
  const wrong: [Parameters<typeof chunkedFooter>[1], string, RegExp][] = [
    [
      { ...manifest, offset: 800 },
      'BAD_FORMAT',
      /footer at byte 936: expected a manifest that ends by 928, got 1000/,
    ],
    [
      { ...manifest, compressed: 0 },
      'BAD_FORMAT',
      /footer at byte 944: expected a manifest of at least one byte, got 0/,
    ],
    [
      { ...manifest, uncompressed: 0 },
      'BAD_FORMAT',
      /footer at byte 952: expected a manifest of at least one byte, got 0/,
    ],
    [{ ...manifest, compressed: 2 ** 40 }, 'LIMIT', /at most 157286400 bytes, got 1099511627776/],
    [
      { ...manifest, uncompressed: 2 ** 40 },
      'LIMIT',
      /footer at byte 952: .* at most 157286400 bytes/,
    ],
    [{ ...manifest, type: 2 }, 'BAD_FORMAT', /expected type 1 of the manifest, got 2/],
  ];
  for (const [fields, code, message] of wrong) {
    t.throws(() => parseChunkedFooter(chunkedFooter('new', fields), 'blob', 1000), {
      code,
      message,
    });
  }
  t.end();
});
