// Changes of JSON that a change of bytes does not make: other types, missing and doubled keys, numbers and texts of any size,
// deep nesting, lists of many items, keys that objects of JavaScript have.
import * as fc from 'fast-check';
import { HOSTILE_TEXT } from '../../support/hostile-text.js';

/** A value as text, in which keys may occur twice. */
type Tree =
  | { readonly kind: 'text'; text: string }
  | { readonly kind: 'list'; items: Tree[] }
  | { readonly kind: 'object'; entries: [key: string, value: Tree][] };

/** A value in an object or a list. */
interface Place {
  readonly within: Exclude<Tree, { kind: 'text' }>;
  readonly at: number;
}

const VALUES = [
  'null',
  'true',
  '0',
  '-1',
  '1.5',
  '1e999',
  '-1e999',
  '9007199254740993',
  '18446744073709551615',
  '""',
  '"x"',
  '"\\u0000"',
  '"../../../etc/passwd"',
  '[]',
  '[[]]',
  '{}',
  '{"a":1}',
  ...Object.values(HOSTILE_TEXT).map((text) => JSON.stringify(text)),
];
const KEYS = ['__proto__', 'constructor', 'prototype', 'toString', 'hasOwnProperty', '', '\0'];

const place = fc.nat(2 ** 30 - 1);
const change = fc.oneof(
  fc.record({ kind: fc.constant('value' as const), place, text: fc.constantFrom(...VALUES) }),
  fc.record({ kind: fc.constant('missing' as const), place }),
  fc.record({
    kind: fc.constant('long' as const),
    place,
    piece: fc.constantFrom('a', '/', '\\\\', ' ', ':', '.', '@', '=', '-', '\\u0000', '../'),
    count: fc.constantFrom(256, 5000, 300_000),
  }),
  fc.record({
    kind: fc.constant('deep' as const),
    place,
    open: fc.constantFrom('[', '{"a":'),
    count: fc.constantFrom(63, 65, 1000, 100_000),
  }),
  fc.record({ kind: fc.constant('twice' as const), place, text: fc.constantFrom(...VALUES) }),
  fc.record({
    kind: fc.constant('key' as const),
    place,
    key: fc.constantFrom(...KEYS),
    text: fc.constantFrom(...VALUES),
  }),
  fc.record({
    kind: fc.constant('many' as const),
    place,
    count: fc.constantFrom(2, 300, 5000, 70_000),
  }),
  fc.record({ kind: fc.constant('moved' as const), place, from: place }),
  fc.record({ kind: fc.constant('cut' as const), place }),
);

export const jsonChanges = fc.array(change, { minLength: 1, maxLength: 3 });
export type JsonChange = typeof change extends fc.Arbitrary<infer T> ? T : never;

/** Characters that a changed text has at most. */
const MAX_LENGTH = 5 << 20;

/** The text of a value with changes. */
export function changedJson(value: unknown, changes: readonly JsonChange[]): string {
  const top: Tree = { kind: 'list', items: [treeOf(value)] };
  for (const each of changes) if (each.kind !== 'cut') apply(top, each);
  const text = textOf(top.items[0] as Tree).slice(0, MAX_LENGTH);
  const cut = changes.find(({ kind }) => kind === 'cut');
  return cut ? text.slice(0, cut.place % (text.length + 1)) : text;
}

function treeOf(value: unknown): Tree {
  if (Array.isArray(value)) return { kind: 'list', items: value.map(treeOf) };
  if (typeof value !== 'object' || value === null) {
    return { kind: 'text', text: JSON.stringify(value) };
  }
  return { kind: 'object', entries: Object.entries(value).map(([key, of]) => [key, treeOf(of)]) };
}

function apply(top: Exclude<Tree, { kind: 'text' }>, each: JsonChange): void {
  const places = placesOf(top);
  const { within, at } = places[each.place % places.length] as Place;
  const old = valueAt({ within, at });
  switch (each.kind) {
    case 'value':
      put({ within, at }, textTree(each.text));
      break;
    case 'missing':
      if (within === top) break;
      if (within.kind === 'list') within.items.splice(at, 1);
      else within.entries.splice(at, 1);
      break;
    case 'long':
      put({ within, at }, textTree(`"${each.piece.repeat(each.count)}x"`));
      break;
    case 'deep': {
      const close = each.open === '[' ? ']' : '}';
      const text = `${each.open.repeat(each.count)}0${close.repeat(each.count)}`;
      put({ within, at }, textTree(text));
      break;
    }
    case 'twice':
      if (within.kind === 'object') {
        within.entries.push([(within.entries[at] as [string, Tree])[0], textTree(each.text)]);
      }
      break;
    case 'key':
      if (old.kind === 'object') old.entries.push([each.key, textTree(each.text)]);
      else if (within.kind === 'object') within.entries[at] = [each.key, old];
      break;
    case 'many':
      manyOf({ within, at }, old, each.count);
      break;
    case 'moved':
      put({ within, at }, valueAt(places[each.from % places.length] as Place));
      break;
    case 'cut':
      break;
  }
}

/** Items of a list, or keys of an object. */
function manyOf(at: Place, old: Tree, count: number): void {
  const item =
    old.kind === 'list' ? old.items[0] : old.kind === 'object' ? old.entries[0]?.[1] : old;
  const text = textOf(item ?? textTree('0'));
  const fitting = Math.min(count, Math.floor(MAX_LENGTH / (text.length + 12)));
  if (old.kind === 'object') {
    const keys = Array.from({ length: fitting }, (_, i) => `"k${i}":${text}`);
    put(at, textTree(`{${keys.join(',')}}`));
  } else {
    put(at, textTree(`[${Array<string>(fitting).fill(text).join(',')}]`));
  }
}

function textTree(text: string): Tree {
  return { kind: 'text', text };
}

function valueAt({ within, at }: Place): Tree {
  return within.kind === 'list'
    ? (within.items[at] as Tree)
    : (within.entries[at] as [string, Tree])[1];
}

/** A copy, so that no tree is within itself. */
function put({ within, at }: Place, value: Tree): void {
  const copy = textTree(textOf(value));
  if (within.kind === 'list') within.items[at] = copy;
  else within.entries[at] = [(within.entries[at] as [string, Tree])[0], copy];
}

function placesOf(tree: Tree): Place[] {
  if (tree.kind === 'text') return [];
  const children = tree.kind === 'list' ? tree.items : tree.entries.map(([, value]) => value);
  return children.flatMap((child, at) => [{ within: tree, at }, ...placesOf(child)]);
}

function textOf(tree: Tree): string {
  if (tree.kind === 'text') return tree.text;
  if (tree.kind === 'list') return `[${tree.items.map(textOf).join(',')}]`;
  return `{${tree.entries.map(([key, value]) => `${JSON.stringify(key)}:${textOf(value)}`).join(',')}}`;
}
