// What is said of a layer that is in no format: what it begins with, or that it is empty.
import { test } from 'tap';
import { raw } from '../../../../daemon/image/formats/raw-content.js';
import type {
  ContentRules,
  OpenTools,
  Unwrapped,
} from '../../../../daemon/image/formats/format.js';
import { MemorySource } from '../../../support/memory-source.js';

await test('what a blob begins with that must be a layer', async (t) => {
  for (const [head, got] of [
    [Buffer.alloc(0), 'it is empty'],
    [Buffer.from('<!DOCTYPE html>'), 'it begins with the bytes 3c21444f43545950 ("<!DOCTYP")'],
    [Buffer.from('a\u001b[31m'), 'it begins with the bytes 611b5b33316d'],
  ] as const) {
    const inner = { source: new MemorySource(head, 'layer') } as unknown as Unwrapped;
    const rules = { mayBeRaw: false } as unknown as ContentRules;
    await t.rejects(async () => raw.open(inner, head, rules, {} as unknown as OpenTools), {
      code: 'BAD_FORMAT',
      message: `layer: neither an LSMT layer nor an archive of files: no such header: ${got}`,
      facts: { blob: 'layer', offset: 0, got },
    });
  }
});

async function openXz(mayBeRaw: boolean, size: number): Promise<unknown> {
  const head = Buffer.alloc(size);
  head.write('\xfd7zXZ\0', 'latin1');
  const inner = { source: new MemorySource(head, 'layer') } as unknown as Unwrapped;
  const rules = { mayBeRaw } as unknown as ContentRules;
  return raw.open(inner, head, rules, {} as unknown as OpenTools);
}

await test('a packed file is no disk, and no layer', async (t) => {
  const message =
    'layer: it begins as an xz file does: a layer may be plain, in gzip or in zstd, and a disk plain: unpack it first (xz -d)';
  await t.rejects(openXz(false, 1024), { code: 'BAD_FORMAT', message });
  await t.rejects(openXz(true, 1000), { code: 'BAD_FORMAT', message });
  t.match(await openXz(true, 1024), { kind: 'raw', doubts: [/^it begins as an xz file/] });
});
