import { test } from 'tap';
import { parseFooter } from '../../../daemon/estargz/footer.js';
import { estargzFooter } from '../../support/estargz-writer.js';

await test('three footers', (t) => {
  const size = 5000;
  t.same(parseFooter(estargzFooter('eStargz', 0x123), 'blob', size), {
    kind: 'eStargz',
    size: 51,
    tocOffset: 0x123,
  });
  t.same(parseFooter(estargzFooter('stargz', 0x123), 'blob', size), {
    kind: 'stargz',
    size: 47,
    tocOffset: 0x123,
  });
  t.same(parseFooter(estargzFooter('eStargz with an external TOC', 0), 'blob', size), {
    kind: 'eStargz with an external TOC',
    size: 46,
    tocOffset: null,
  });
  t.end();
});

await test('other ends of blobs have none', (t) => {
  const footer = estargzFooter('eStargz', 7);
  t.equal(parseFooter(Buffer.alloc(51), 'blob', 51), null);
  t.equal(parseFooter(footer.subarray(0, 41), 'blob', 41), null);
  t.equal(parseFooter(Buffer.alloc(0), 'blob', 0), null);
  for (const at of [0, 3, 10, 12, 32, 40, 50]) {
    const changed = Buffer.from(footer);
    changed[at] = (changed[at] as number) ^ 1;
    t.equal(parseFooter(changed, 'blob', 5000), null, `byte ${at}`);
  }
  t.end();
});

await test('an offset outside the blob is refused', (t) => {
  for (const [offset, size] of [
    [4949, 5000],
    [2 ** 52, 5000],
  ] as const) {
    t.throws(() => parseFooter(estargzFooter('eStargz', offset), 'blob', size), {
      code: 'BAD_FORMAT',
      message: /^blob: footer at byte 4965: expected 16 hexadecimal digits of an offset below 4949/,
    });
  }
  t.end();
});
