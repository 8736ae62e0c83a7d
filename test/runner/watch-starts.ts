// Loaded before a unit test that runs in a process of its own: the process fails if the test starts what it must not.
import { takeWrongStarts, watchStarts } from './starts.js';

const [, file = ''] = process.argv;
watchStarts();
process.on('exit', () => {
  const problems = takeWrongStarts(file);
  if (problems.length === 0) return;
  for (const problem of problems) console.log(problem);
  process.exitCode = 1;
});
