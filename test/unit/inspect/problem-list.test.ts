// The list of problems that `verify` keeps.
import { test } from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import { MAX_LISTED, ProblemList } from '../../../daemon/inspect/problem-list.js';

const problem = { blob: 'blob', section: 'block 5', offset: 7, expected: 'this', got: 'that' };

await test('problems are counted by layer, and the first ones are kept', (t) => {
  const list = new ProblemList();
  for (let i = 0; i < MAX_LISTED + 10; i++) list.addProblem(i % 2, problem);
  list.addError(null, new OverlaybdError('IO', 'the disk'));
  t.equal(list.count, MAX_LISTED + 11);
  t.equal(list.listed.length, MAX_LISTED);
  t.same([list.countOf(0), list.countOf(1), list.countOf(2), list.countOf(null)], [55, 55, 0, 1]);
  t.same(list.listed[0], {
    layer: 0,
    code: 'BAD_FORMAT',
    message: 'blob: block 5 at byte 7: expected this, got that',
    facts: problem,
  });
  t.end();
});

await test('a bug of the program is thrown, not listed', (t) => {
  const bug = new TypeError('a bug');
  t.throws(() => new ProblemList().addError(0, bug), bug);
  t.end();
});
