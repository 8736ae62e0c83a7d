// Who may be replaced by an upgrade: whoever is not the whole container or the whole unit.
import t from 'tap';
import { mustBeReplaceable, supervisionNow } from '../../../daemon/service/supervision.js';

const plain = { pid: 4711, parent: 4000, init: 'systemd', hasManager: false, isService: false };

await t.test('nobody ends with us', async (test) => {
  for (const each of [
    plain,
    { ...plain, init: null },
    // Of a terminal that a service has started.
    { ...plain, isService: true },
    // In a container, but not all that there is in it.
    { ...plain, parent: 7, init: 'tini' },
    { ...plain, parent: 1, hasManager: true, isService: true },
    { ...plain, parent: 1, init: 'init' },
    supervisionNow(false),
  ]) {
    test.doesNotThrow(() => mustBeReplaceable(each), JSON.stringify(each));
  }
});

await t.test('somebody does', async (test) => {
  const cases: [Parameters<typeof mustBeReplaceable>[0], RegExp][] = [
    [{ ...plain, pid: 1, parent: 0, init: 'node' }, /^upgrade: .*process 1 of its container/],
    [{ ...plain, pid: 1, parent: 0, hasManager: true }, /process 1 of its container/],
    [{ ...plain, parent: 1, init: 'tini' }, /tini ends the container/],
    [{ ...plain, parent: 1, isService: true }, /Type=notify and NotifyAccess=all/],
  ];
  for (const [each, message] of cases) {
    test.throws(() => mustBeReplaceable(each), { code: 'UNSUPPORTED', message });
  }
});
