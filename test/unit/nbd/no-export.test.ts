// The message for a client that asks for an export that does not exist.
import { test } from 'tap';
import { noExport } from '../../../daemon/nbd/no-export.js';
import { FakeExport, tableOf } from './fake-export.js';

const named = (...names: string[]) => ({
  ...tableOf(new FakeExport(512, '')),
  list: () => names.map((name) => new FakeExport(512, name)),
});

await test('an unknown name: the message repeats it and lists the exports', (t) => {
  t.equal(noExport(Buffer.from('web'), named('a')), 'no export named "web"');
  t.equal(
    noExport(Buffer.from('a"\n\u009b\u202e'), named('a')),
    'no export named "a\\"\\n\\u{9b}\\u{202e}"',
  );
  const long = noExport(Buffer.alloc(4096, 'x'), named());
  t.ok(long.length < 200 && /4032 more characters/.test(long), long);
  t.end();
});

await test('no default export: the message lists the exports', (t) => {
  t.equal(noExport(Buffer.alloc(0), named()), 'there are no exports');
  t.equal(
    noExport(Buffer.alloc(0), named('web', 'd\nb')),
    'no default export: name one of "web", "d\\nb"',
  );
  const many = Array.from({ length: 300 }, (_, i) => `${i}${'\u202e'.repeat(500)}`);
  const text = noExport(Buffer.alloc(0), named(...many));
  t.match(text, / and 292 more$/);
  t.ok(text.length < 2048, `${text.length}`);
  t.end();
});

await test('an export that failed to open: the message tells the class of the error', (t) => {
  const failing = {
    ...named('a'),
    failure: (name: string) => (name === 'w"eb' ? 'IO' : undefined),
  };
  t.equal(
    noExport(Buffer.from('w"eb'), failing),
    'the export "w\\"eb" cannot be served now: its image cannot be opened (IO); the server\'s log and status say why',
  );
  t.equal(noExport(Buffer.from('db'), failing), 'no export named "db"');
  t.end();
});
