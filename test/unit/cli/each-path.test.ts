// The hint at layers that were taken for paths in an image.
import { test } from 'tap';
import { endedCopy } from '../../../daemon/cli/cp.js';
import { EachPath, withLayerHint } from '../../../daemon/cli/each-path.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import { NOT_IN_IMAGE } from '../../../daemon/files/find.js';

const NO_SUCH_FILE = 'the image has no such file';

const told = (path: string, failure = NOT_IN_IMAGE): string =>
  withLayerHint(
    new OverlaybdError('NOT_FOUND', `"${path}": ${NO_SUCH_FILE}`, { facts: { path, failure } }),
  ).message;

await test('a file of that name here may be meant as a layer', (t) => {
  const before = process.cwd();
  process.chdir(t.testdir({ 'b.tar': '', 'os-release': '', dir: {} }));
  t.teardown(() => process.chdir(before));
  t.equal(
    told('b.tar'),
    '"b.tar": the image has no such file; there is one here: if it is a layer, put -- after the last layer',
  );
  t.equal(told('./-l'), `"./-l": ${NO_SUCH_FILE}; options go before --`);
  // Files that are on each host and in each image are meant in the image.
  for (const path of ['c.tar', 'dir', 'a\0b', 'os-release', '/etc/passwd'])
    t.equal(told(path), `"${path}": ${NO_SUCH_FILE}`);
  t.equal(
    told('b.tar', 'missing'),
    `"b.tar": ${NO_SUCH_FILE}`,
    'another failure with this message',
  );
  t.end();
});

const full = (): Promise<never> => Promise.reject(new OverlaybdError('IO', 'full'));

await test('an error that all paths would have ends the command', async (t) => {
  const each = new EachPath();
  await t.rejects(
    each.tried(full, ({ message }) => message === 'full'),
    { code: 'IO' },
  );
  t.equal(each.exitCode, 0, 'it is not told twice');
  const error = endedCopy(new OverlaybdError('IO', '"x": full', { facts: { path: 'x' } }), {
    copied: 1,
  });
  t.equal(
    error.message,
    '"x": full; the copy ended: 1 file was copied. Make room or name another destination, then run it again',
  );
  t.same(error.facts, { path: 'x' });
});
