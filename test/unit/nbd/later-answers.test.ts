// Answers that are made one at a time, when there is room for them.
import { test } from 'tap';
import { LaterAnswers } from '../../../daemon/nbd/later-answers.js';

await test('answers are made in order, one for each call', (t) => {
  const later = new LaterAnswers();
  const made: string[] = [];
  t.equal(later.make(), false, 'there is none');
  later.add(() => made.push('a'));
  later.add(() => made.push('b'));
  t.same(made, [], 'add() makes none');
  t.equal(later.make(), true);
  t.same(made, ['a']);
  later.add(() => made.push('c'));
  while (later.make());
  t.same(made, ['a', 'b', 'c']);
  t.equal(later.make(), false, 'each is made once');
  t.end();
});
