// The file of added exports: what is read, and what is refused.
import { test } from 'tap';
import { parseAddedExports } from '../../../daemon/config/added-exports.js';

const parse = (value: unknown) => parseAddedExports(JSON.stringify(value), 'exports.json');
const web = { name: 'web', image: ['/a', '/b'], partition: null };

await test('any name may be in the file', (t) => {
  t.same(parse({ version: 1, exports: [] }), []);
  const exports = ['', '__proto__', '\u001b[2J', 'x'.repeat(4096)].map((name) => ({
    ...web,
    name,
  }));
  t.same(parse({ version: 1, exports: [{ ...web, partition: 3 }, ...exports] }), [
    { ...web, partition: 3 },
    ...exports,
  ]);
  t.end();
});

await test('anything odd is refused', (t) => {
  for (const value of [
    [],
    {},
    { version: 2, exports: [] },
    { version: 1, exports: [], more: 1 },
    { version: 1, exports: [{ ...web, image: [] }] },
    { version: 1, exports: [{ ...web, image: '/a' }] },
    { version: 1, exports: [{ ...web, partition: 0 }] },
    { version: 1, exports: [{ ...web, beside: { layer: -1 } }] },
    { version: 1, exports: [{ ...web, name: 'x'.repeat(4097) }] },
    { version: 1, exports: [{ ...web, extra: true }] },
  ]) {
    t.throws(() => parse(value), { code: 'BAD_CONFIG', message: /^exports\.json: / });
  }
  t.end();
});
