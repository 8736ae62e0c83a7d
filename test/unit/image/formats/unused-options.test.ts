// What is named beside a layer fits its format, or is refused.
import { test } from 'tap';
import { refuseUnused } from '../../../../daemon/image/formats/unused-options.js';

type Named = Parameters<typeof refuseUnused>[1];
const NOTHING: Named = { toc: null, tocSource: null, objects: null, dataBlobs: null };
const TOC: Named = { ...NOTHING, toc: { json: 'sha256:0', manifest: null } };
const OBJECTS: Named = { ...NOTHING, objects: '/objects' };
const BLOBS: Named = { ...NOTHING, dataBlobs: '/blobs' };

await test('each format has what it may have', (t) => {
  const fits: [format: string, rules: Named][] = [
    ['files', NOTHING],
    ['lsmt', NOTHING],
    ['estargz', TOC],
    ['zstd:chunked', TOC],
    ['composefs', OBJECTS],
    ['rafs', BLOBS],
    ['rafs blob', BLOBS],
    ['rafs layer', BLOBS],
    ['erofs with devices', BLOBS],
  ];
  for (const [format, rules] of fits) {
    t.doesNotThrow(() => refuseUnused(format, rules, 'blob'), format);
    for (const other of [TOC, OBJECTS, BLOBS]) {
      if (other === rules) continue;
      t.throws(() => refuseUnused(format, other, 'blob'), { code: 'BAD_FORMAT' }, format);
    }
  }
  t.throws(() => refuseUnused('files', BLOBS, 'blob'), {
    message:
      /^blob: --blobs is for Nydus images and for EROFS images with further devices, and this is neither$/,
  });
  t.end();
});
