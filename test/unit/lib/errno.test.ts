// Names and descriptions of errno values.
import { test } from 'tap';
import { errnoName, errnoText } from '../../../daemon/lib/errno.js';

await test('errors with a name and a description, with a name only, and with neither', (t) => {
  t.equal(errnoName(28), 'ENOSPC');
  t.equal(errnoText(28), 'ENOSPC (no space left on device)');
  t.equal(errnoText(32), 'EPIPE (broken pipe)');
  t.equal(errnoText(24), 'EMFILE (too many open files)');
  t.equal(errnoText(117), 'EUCLEAN', 'libuv has no name for it');
  t.equal(errnoText(4000), 'errno 4000');
  t.end();
});
