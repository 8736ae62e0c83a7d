import { test } from 'tap';
import { jsonEntries } from '../../../daemon/estargz/json-entries.js';
import { MAX_ENTRY_BYTES } from '../../../daemon/estargz/limits.js';

const entriesOf = (text: string): unknown[] =>
  [...jsonEntries(Buffer.from(text), 'blob')].map(({ value }) => value);

await test('the list of entries, wherever it is', (t) => {
  t.same(entriesOf('{"version":1,"entries":[]}'), []);
  t.same(entriesOf('{"entries":[{"a":1},{"b":"]}\\""}\n, {}]}\n'), [{ a: 1 }, { b: ']}"' }, {}]);
  t.same(
    entriesOf('{"x":{"entries":[1,[2,{}]]},"y":[null,true,-1.5e3],"entries":[{"a":"\\\\"}]}'),
    [{ a: '\\' }],
  );
  const [entry] = jsonEntries(Buffer.from('{"entries": [ {"name":"ä"}]}'), 'blob');
  t.same(entry, { value: { name: 'ä' }, position: 14 });
  t.end();
});

await test('a list without entries, as Go writes it', (t) => {
  t.same(entriesOf('{"version":1,"entries":null}'), []);
  t.same(entriesOf('{"entries": null , "version":1}\n'), []);
  t.end();
});

await test('everything else is refused', (t) => {
  for (const text of [
    '',
    '[]',
    'null',
    '{}',
    '{"entries":',
    '{"entries":"no"}',
    '{"entries":nul}',
    '{"entries":nullx}',
    '{"entries":null,"entries":[]}',
    '{"entries":null',
    '{"entries":[1]}',
    '{"entries":[{}',
    '{"entries":[{}}',
    '{"entries":[{},]}',
    '{"entries":[{} {}]}',
    '{"entries":[{"a}]}',
    '{"entries":[{"a"}]}',
    '{"entries":[{a:1}]}',
    '{"entries":[]',
    '{"entries":[]}x',
    '{"entries":[],"entries":[]}',
    '{"entries":[],}',
    '{"x":,"entries":[]}',
    '{"x":]}',
    '{,}',
    '{"entries" []}',
  ]) {
    t.throws(
      () => entriesOf(text),
      { code: 'BAD_FORMAT', message: /^blob: table of contents at byte / },
      text,
    );
  }
  t.end();
});

await test('a long entry is refused before it is parsed', (t) => {
  const long = `{"entries":[{"name":"${'x'.repeat(MAX_ENTRY_BYTES)}"}]}`;
  t.throws(() => entriesOf(long), {
    code: 'LIMIT',
    message: /at byte 12: expected a value of at most/,
  });
  t.end();
});

await test('deep values are passed without recursion', (t) => {
  const deep = '['.repeat(1_000_000) + ']'.repeat(1_000_000);
  t.same(entriesOf(`{"x":${deep},"entries":[]}`), []);
  t.end();
});
