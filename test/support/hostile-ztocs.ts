// Layers with ztocs (SOCI) of which either is damaged: bytes anywhere, or numbers where a parser looks for them.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import type { FlatValue } from './flat-writer.js';
import { mustBeHandled, mutate, mutations, NUMBERS } from './hostile-blobs.js';
import { SOCI_ARCHIVE } from './soci-archive.js';
import { writeZtoc, type WrittenZtoc, type ZtocParts } from './ztoc-writer.js';

const FORMS = ['gzip', 'gzip version 1', 'plain'] as const;

const SPAN_SIZE = 60_000;
const healthy = new Map<(typeof FORMS)[number], WrittenZtoc>();
for (const form of FORMS) {
  healthy.set(form, await writeZtoc(SOCI_ARCHIVE, { form, spanSize: SPAN_SIZE }));
}
/** Each is opened and read without an error. */
export const healthyZtocs: readonly WrittenZtoc[] = [...healthy.values()];

const change = fc.record({
  what: fc.constantFrom('field' as const, 'checkpoint' as const, 'size' as const, 'copy' as const),
  entry: fc.nat(20),
  field: fc.nat(12),
  value: fc.oneof(fc.constantFrom(...NUMBERS), fc.nat(20_000).map(BigInt)),
});

export const hostileZtoc = fc.record({
  form: fc.constantFrom(...FORMS),
  damaged: fc.constantFrom('ztoc' as const, 'layer' as const, 'parts' as const),
  damage: mutations,
  changes: fc.array(change, { minLength: 1, maxLength: 3 }),
});
export type HostileZtoc = typeof hostileZtoc extends fc.Arbitrary<infer T> ? T : never;

/** Writes layer and ztoc to a folder, opens and reads them. @throws Error for what must not be */
export async function ztocMustBeHandled(folder: string, hostile: HostileZtoc): Promise<void> {
  const [layer, ztoc] = [join(folder, 'layer'), join(folder, 'layer.ztoc')];
  const written = await writtenOf(hostile);
  writeFileSync(layer, written.layer);
  writeFileSync(ztoc, written.ztoc);
  await mustBeHandled([layer], { tocBlob: null, tocDigest: null, ztocs: [ztoc] });
}

async function writtenOf({ form, damaged, damage, changes }: HostileZtoc): Promise<WrittenZtoc> {
  const good = healthy.get(form) as WrittenZtoc;
  if (damaged === 'layer') return { ...good, layer: mutate(good.layer, damage) };
  if (damaged === 'ztoc') return { ...good, ztoc: mutate(good.ztoc, damage) };
  return writeZtoc(SOCI_ARCHIVE, {
    form,
    spanSize: SPAN_SIZE,
    change: (parts) => {
      for (const each of changes) apply(parts, each);
    },
  });
}

function apply(
  parts: ZtocParts,
  { what, entry, field, value }: HostileZtoc['changes'][number],
): void {
  const at = entry % parts.entries.length;
  const signed = BigInt.asIntN(64, value);
  switch (what) {
    case 'field':
      (parts.entries[at] as FlatValue[])[field] = { i64: signed };
      return;
    case 'copy':
      parts.entries.push(parts.entries[at] as FlatValue[]);
      return;
    case 'checkpoint': {
      // Offsets of a checkpoint, or the head.
      const place = field < 3 ? 4 * field : 12 + (17 + 32_768) * (entry % 3) + 8 * (field % 2);
      if (place + 8 <= parts.checkpoints.length) parts.checkpoints.writeBigInt64LE(signed, place);
      return;
    }
    case 'size': {
      const number = Number(value % 2n ** 53n);
      if (field < 6) parts.uncompressedSize = number;
      else parts.compressedSize = number;
    }
  }
}
