import { parse, safeParse } from 'valibot';
import { test } from 'tap';
import { besideSchema } from '../../../daemon/config/beside-schema.js';

const digest = `sha256:${'a'.repeat(64)}`;

await test('what lies beside layers', (t) => {
  t.same(parse(besideSchema, {}), { tocBlob: null, tocDigest: null, ztocs: [] });
  const all = {
    tocBlob: '/toc',
    tocDigest: digest,
    ztocs: ['/ztoc', null],
    layer: 3,
    insecureToc: true,
    blobs: '/blobs',
    objects: '/objects',
    sociIndex: 'registry.example/app@sha256',
  };
  t.same(parse(besideSchema, all), all);
  const wrong: Record<string, unknown>[] = [
    { tocBlob: 'relative' },
    { tocBlob: 5 },
    { tocDigest: 'sha256:0' },
    { ztocs: ['relative'] },
    { ztocs: '/ztoc' },
    { layer: -1 },
    { layer: '0' },
    { insecureToc: false },
    { unknown: 1 },
  ];
  for (const each of wrong) t.notOk(safeParse(besideSchema, each).success, JSON.stringify(each));
  t.end();
});
