// docs/errors.md: its tables have every code and every field of an error, and nothing else.
import { readFileSync } from 'node:fs';
import { test } from 'tap';
import { ERROR_CODES, FACT_TYPES } from '../../daemon/errors.js';

const text = readFileSync('docs/errors.md', 'utf8');
const rows = text
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .map((line) => line.split('|').map((cell) => cell.trim()));

await test('every code has a row', (t) => {
  const codes = rows.filter((row) => row.length === 5).map(([, code = '']) => code);
  t.same(
    codes.filter((code) => ERROR_CODES.some((each) => each === code)),
    [...ERROR_CODES],
    'in the same order',
  );
  t.end();
});

await test('every field has a row with its type', (t) => {
  const fields = rows.flatMap(([, name = '', type = '']) => {
    const field = /^`(\w+)`$/.exec(name)?.[1];
    return field === undefined || !/^(string|number)/.test(type) ? [] : [[field, type] as const];
  });
  t.same(Object.fromEntries(fields), FACT_TYPES);
  t.end();
});

await test('the fields name codes that there are', (t) => {
  for (const [, name = '', , , codes = ''] of rows.filter((row) => row.length === 6)) {
    for (const code of codes.match(/\b[A-Z]{2}[A-Z_]+\b/g) ?? []) {
      t.ok(
        ERROR_CODES.some((each) => each === code),
        `${name}: ${code}`,
      );
    }
  }
  t.end();
});
