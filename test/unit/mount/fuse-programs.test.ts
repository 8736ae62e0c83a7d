// Which FUSE program is chosen, with which options, and the error if none is installed.
import { test } from 'tap';
import {
  filesystemProgram,
  withInsideHint,
  fusermountProgram,
  nbdfuseProgram,
} from '../../../daemon/mount/fuse-programs.js';

const only = (...installed: string[]) => ({
  find: async (...names: readonly string[]) => {
    const name = names.find((each) => installed.includes(each));
    return name === undefined ? null : `/bin/${name}`;
  },
});

await test('ext4: no fakeroot for root; newer options separately', async (t) => {
  const find = only('fuse2fs');
  const [asRoot, asUser] = await Promise.all(
    [true, false].map((isRoot) => filesystemProgram('a', 'ext4', find, isRoot)),
  );
  t.same(asRoot?.options, ['ro', 'norecovery']);
  t.same(asUser?.options, ['ro', 'norecovery', 'fakeroot']);
  t.same(asUser?.newer, ['errors=continue']);
});

await test('the first installed program is chosen', async (t) => {
  const find = only('squashfuse');
  t.equal((await filesystemProgram('a', 'squashfs', find, false)).path, '/bin/squashfuse');
  const both = only('squashfuse', 'squashfuse_ll');
  t.equal((await filesystemProgram('a', 'squashfs', both, false)).path, '/bin/squashfuse_ll');
  t.equal(await fusermountProgram(only('fusermount')), '/bin/fusermount');
  t.equal(await nbdfuseProgram(only('nbdfuse')), '/bin/nbdfuse');
});

await test('a missing program is named with its package', async (t) => {
  const none = only();
  await t.rejects(filesystemProgram('a', 'ext4', none, false), {
    code: 'PROGRAM_MISSING',
    message: 'fuse2fs: not found; apt install fuse2fs',
  });
  await t.rejects(nbdfuseProgram(none), { message: /^nbdfuse: not found; apt install libnbd-bin/ });
  await t.rejects(fusermountProgram(none), { message: /^fusermount3: not found; apt install/ });
  await t.rejects(filesystemProgram('a.obd', 'xfs', only('fuse2fs'), false), {
    code: 'UNSUPPORTED',
    message:
      /^a\.obd: it holds xfs, for which there is no FUSE program: mount it .* as root .*guestmount/,
  });
});

await test('what mount says of layers of files', async (t) => {
  const none = only();
  const missing = async (type: 'ext4' | 'erofs'): Promise<unknown> => {
    const error: unknown = await filesystemProgram('a', type, none, true).catch((e: unknown) => e);
    return withInsideHint(error);
  };
  t.match(await missing('erofs'), {
    message: /; or look inside without a mount: overlaybd-nbd ls/,
  });
  t.match(await missing('ext4'), { message: /apt install fuse2fs$/ });
});
