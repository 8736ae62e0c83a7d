// Which processes may be replaced by an upgrade: those whose end does not end a container or unit.
import t from 'tap';
import { mustBeReplaceable, supervisionNow } from '../../../daemon/upgrade/supervision.js';

const plain = {
  pid: 4711,
  parent: 4000,
  parentName: 'bash',
  init: 'systemd',
  isInitsSession: true,
  hasManager: false,
  isService: false,
};

await t.test('processes whose end does not end a container or unit', async (test) => {
  for (const each of [
    plain,
    { ...plain, init: null },
    // A process on a terminal that a service has started.
    { ...plain, isService: true },
    // In a container, but not its main process.
    { ...plain, parent: 7, init: 'tini' },
    { ...plain, parent: 7, init: 'entrypoint.sh' },
    { ...plain, parent: 7, parentName: null, init: null },
    { ...plain, parent: 1, parentName: null, init: null },
    // Orphaned in a container, or started there by `docker exec`.
    { ...plain, parent: 1, parentName: 'sleep', init: 'sleep', isInitsSession: false },
    { ...plain, parent: 0, parentName: null, init: 'sleep' },
    { ...plain, parent: 1, hasManager: true, isService: true },
    { ...plain, parent: 1, init: 'init' },
    supervisionNow(false),
  ]) {
    test.doesNotThrow(() => mustBeReplaceable(each), JSON.stringify(each));
  }
});

await t.test('processes whose end ends their container or unit', async (test) => {
  const cases: [Parameters<typeof mustBeReplaceable>[0], RegExp][] = [
    [{ ...plain, pid: 1, parent: 0, init: 'node' }, /^upgrade: .*process 1 of its container/],
    [{ ...plain, pid: 1, parent: 0, hasManager: true }, /process 1 of its container/],
    [{ ...plain, parent: 1, parentName: 'tini', init: 'tini' }, /tini ends the container/],
    [{ ...plain, parent: 1, parentName: 'podman-init' }, /podman-init ends the container/],
    [{ ...plain, parent: 1, parentName: 'tini', hasManager: true }, /tini ends the container/],
    // tini -s, and a container in the host's process namespace.
    [{ ...plain, parent: 7, parentName: 'tini', init: 'bash' }, /tini ends the container/],
    [{ ...plain, parentName: 'containerd-shim' }, /containerd-shim ends the container/],
    [{ ...plain, parentName: 'conmon' }, /conmon ends the container/],
    // A script as the container's command, with the daemon as its child.
    [{ ...plain, parent: 1, init: 'sh' }, /process 1, sh, .* may end the container/],
    [{ ...plain, parent: 1, init: 'entry\npoint.sh' }, /process 1, entry\\npoint\.sh,/],
    // In the process namespace of another container.
    [{ ...plain, parent: 0, parentName: null, init: 'pause' }, /first program of its container/],
    [{ ...plain, parent: 1, isService: true }, /Type=notify and NotifyAccess=all/],
  ];
  for (const [each, message] of cases) {
    test.throws(() => mustBeReplaceable(each), { code: 'UNSUPPORTED', message });
  }
});
