// Changes of texts that are no JSON: TOML, header fields, lists of lines. Their signs are put in, repeated, moved and cut.
import * as fc from 'fast-check';

const SIGNS = [
  ...'"\'\\=,;:/<>[]{}()#*@%&?.-+_ \t\r\n\0'.split(''),
  '"""',
  "'''",
  '[[',
  '../',
  '\u0085',
  '\ud800',
  '层',
  'bytes ',
  '__proto__',
  'constructor',
  '99999999999999999999',
  '-1',
  '1e999',
];

const place = fc.nat(2 ** 30 - 1);
const change = fc.oneof(
  fc.record({
    kind: fc.constant('sign' as const),
    place,
    sign: fc.constantFrom(...SIGNS),
    count: fc.constantFrom(1, 1, 1, 2, 70, 5000, 200_000),
  }),
  fc.record({ kind: fc.constant('cut' as const), place, length: fc.nat(40) }),
  fc.record({
    kind: fc.constant('copy' as const),
    place,
    from: place,
    length: fc.nat(80),
    count: fc.constantFrom(1, 1, 3, 3000),
  }),
);

export const textChanges = fc.array(change, { minLength: 1, maxLength: 4 });
export type TextChange = typeof change extends fc.Arbitrary<infer T> ? T : never;

/** Characters that a changed text has at most. */
const MAX_LENGTH = 4 << 20;

export function changedText(text: string, changes: readonly TextChange[]): string {
  let changed = text;
  for (const each of changes) {
    const at = each.place % (changed.length + 1);
    const begin = changed.slice(0, at);
    if (each.kind === 'sign') {
      changed = begin + each.sign.repeat(each.count) + changed.slice(at);
    } else if (each.kind === 'cut') {
      changed = begin + changed.slice(at + each.length);
    } else {
      const from = each.from % (changed.length + 1);
      const piece = changed.slice(from, from + each.length);
      changed = begin + piece.repeat(each.count) + changed.slice(at);
    }
    changed = changed.slice(0, MAX_LENGTH);
  }
  return changed;
}
