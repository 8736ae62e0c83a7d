// Errors of command lines: their facts.
import { test } from 'tap';
import { sourceOf } from '../../../daemon/cli/options/attach.js';
import { readConfig } from '../../../daemon/cli/options/config-file.js';
import { badArgument } from '../../../daemon/cli/options/values.js';
import { namedWords } from '../../../daemon/cli/options/words.js';
import { waitSeconds } from '../../../daemon/cli/patience.js';
import { checkErrors } from '../../support/error-rows.js';

function wrong(message: string): () => never {
  return () => {
    throw badArgument(message);
  };
}

await test('errors of command lines have their facts', async (t) => {
  const folder = t.testdir({ 'daemon.json': '{"threads":"x"}' });
  const path = `${folder}/daemon.json`;
  await checkErrors(
    t,
    {
      'a wrong option': [
        wrong('--socket-mode "x": not octal digits'),
        'BAD_ARGUMENT',
        { section: '--socket-mode' },
      ],
      'no option': [wrong('name a path'), 'BAD_ARGUMENT', {}],
      'too long a wait': [
        () => waitSeconds(-1),
        'BAD_ARGUMENT',
        { section: '--wait', expected: 'a number of seconds from 0 to 31536000', got: -1 },
      ],
      'no such file': [() => sourceOf(['/none/x']), 'NOT_FOUND', { path: '/none/x' }],
      'neither file nor image': [
        () => namedWords(['Bad Name']),
        'NOT_FOUND',
        { path: 'Bad Name', image: '"Bad Name"' },
      ],
      'a wrong configuration': [
        () => readConfig(path),
        'BAD_CONFIG',
        { path, section: 'threads', expected: 'a whole number from 1 to 256', got: '"x"' },
      ],
      'no configuration': [
        () => readConfig(`${folder}/none`),
        'BAD_CONFIG',
        { path: `${folder}/none`, blob: `${folder}/none` },
      ],
    },
    ['got'],
  );
});
