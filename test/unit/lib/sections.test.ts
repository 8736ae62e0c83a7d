// Named arrays of numbers as bytes, and back; what is damaged is refused.
import { test } from 'tap';
import { packSections, unpackSections, type Section } from '../../../daemon/lib/sections.js';

const SECTIONS = new Map<string, Section>([
  ['bytes', Uint8Array.of(1, 2, 3)],
  ['empty', new Uint32Array(0)],
  ['words', Uint16Array.of(1, 65_535)],
  ['numbers', Uint32Array.of(4_294_967_295)],
  ['doubles', Float64Array.of(-0.5, 2 ** 53)],
]);

await test('all types come back, with the value', (t) => {
  const { value, sections } = unpackSections(packSections({ a: [1] }, SECTIONS), 'record');
  t.same(value, { a: [1] });
  t.same(sections.take('bytes', Uint8Array, 3), Uint8Array.of(1, 2, 3));
  t.equal(sections.take('empty', Uint32Array).length, 0);
  t.same(sections.take('words', Uint16Array), Uint16Array.of(1, 65_535));
  t.same(sections.take('numbers', Uint32Array), Uint32Array.of(4_294_967_295));
  const doubles = sections.takeShared('doubles', Float64Array, 2);
  t.same([...doubles], [-0.5, 2 ** 53]);
  t.ok(doubles.buffer instanceof SharedArrayBuffer);
  t.end();
});

await test('a section that is missing, or has another type or length', (t) => {
  const { sections } = unpackSections(packSections(null, SECTIONS), 'record');
  const bad = { code: 'BAD_FORMAT', message: /^record: section \w+: missing or damaged$/ };
  t.throws(() => sections.take('none', Uint8Array), bad);
  t.throws(() => sections.take('bytes', Uint16Array), bad);
  t.throws(() => sections.take('bytes', Uint8Array, 4), bad);
  t.end();
});

await test('bytes that are cut are refused', (t) => {
  const bytes = packSections({ a: 1 }, SECTIONS);
  for (const length of [0, 3, 20, bytes.length - 8]) {
    const cut = Buffer.from(new Uint8Array(bytes.subarray(0, length)).buffer);
    t.throws(() => unpackSections(cut, 'record'), { code: 'BAD_FORMAT' }, `${length} bytes`);
  }
  t.end();
});

await test('a header of something else is refused', (t) => {
  const headers = [
    'null',
    '{}',
    '{"sections":{}}',
    '{"sections":[1]}',
    '{"sections":[[1,1,1]]}',
    '{"sections":[["a",1,-1]]}',
    '{"sections":[["a",8,0.5]]}',
    '{"sections":[["a",3,1]]}',
    '{"sections":[["a",1,9007199254740992]]}',
  ];
  for (const text of headers) {
    const bytes = Buffer.alloc(128, ' ');
    bytes.writeUInt32LE(64);
    bytes.write(text, 4);
    t.throws(() => unpackSections(bytes, 'record'), { code: 'BAD_FORMAT' }, text);
  }
  t.end();
});
