// Errors that are made of their facts.
import { test } from 'tap';
import { OverlaybdError, factsOf } from '../../../daemon/errors.js';
import {
  errorOf,
  mismatch,
  overLimit,
  publicFact,
  withFacts,
  within,
} from '../../../daemon/lib/fault.js';

await test('the message begins with the subject and the place', (t) => {
  const place = { blob: '/l', section: 'header', offset: 8 };
  t.equal(errorOf('IO', place, 'x').message, '/l: header at byte 8: x');
  t.equal(errorOf('IO', 'app:1', 'x').message, 'app:1: x');
  t.equal(errorOf('IO', { export: 'a"b' }, 'x').message, 'export "a\\"b": x');
  t.equal(errorOf('IO', {}, 'x').message, 'x');
  const wrong = mismatch('BAD_FORMAT', { ...place, expected: '1', got: 2 }, 'why');
  t.equal(wrong.message, '/l: header at byte 8: expected 1, got 2; why');
  const over = overLimit({ path: '/c' }, 3, 'layers', 2);
  t.match(over, { code: 'LIMIT', message: '/c: 3 layers, at most 2' });
  t.same(over.facts, { path: '/c', expected: 'at most 2', got: 3 });
  t.same(within(within('app', 'a'), 'b'), { image: 'app', section: 'a: b' });
  t.end();
});

await test('a caller adds facts, and changes none', (t) => {
  const error = errorOf('IO', { image: 'inner' }, 'x');
  t.equal(withFacts(error, { image: 'outer', host: 'h' }), error);
  t.same(factsOf(error), { image: 'inner', host: 'h' });
  t.notOk(withFacts(new TypeError('x'), { host: 'h' }) instanceof OverlaybdError);
  t.end();
});

await test('no login and no signature is a fact', (t) => {
  t.equal(publicFact('https://u:p@h/x?sig=s'), 'https://...@h/x?...');
  t.equal(publicFact('nbd+unix:///?socket=/s'), 'nbd+unix:///?socket=/s');
  t.ok(publicFact('x'.repeat(100_000)).length < 5000);
  t.end();
});
