// Mount namespaces: a host whose / is private.
import { setTimeout as pause } from 'node:timers/promises';
import type { HostCase } from '../host-case.js';
import { installedHost } from '../installed.js';
import { must, sh, until } from '../shell.js';

const WARNING = 'journalctl -b -u overlaybd-nbd -p warning -o cat | grep -q "own mount namespace"';

export function namespaceCases(): HostCase[] {
  return [
    {
      name: 'a host whose root is private',
      before: (images) => installedHost(images),
      async run(check) {
        await until(check, 'the file system is mounted', 'mountpoint -q /srv/web');
        must(check, 'the daemon restarts', 'systemctl restart overlaybd-nbd');
        check.ok(sh(WARNING).code !== 0, 'there is no warning with a shared root');
        // A mount that was propagated already would stay in every namespace.
        must(check, 'the unit unmounts', 'systemctl stop srv-web.mount');
        must(check, 'the root becomes private', 'mount --make-rprivate /');
        must(check, 'the unit mounts', 'systemctl start srv-web.mount');
        must(check, 'the daemon restarts', 'systemctl restart overlaybd-nbd');
        await until(check, 'the log tells', WARNING, 10);
        must(check, 'umount succeeds', 'umount /srv/web');
        const refused = sh('overlaybd-nbd detach --state /run/overlaybd-nbd /dev/nbd63');
        check.match(
          refused.stderr,
          /own mount namespace/,
          'the device is still in use, and the error tells why',
        );
        must(check, 'a restart of the daemon releases it', 'systemctl restart overlaybd-nbd');
        await pause(1000);
        must(check, 'the unit detaches', 'systemctl stop overlaybd-nbd-attach@web');
        must(check, 'the device is free', 'test ! -e /sys/block/nbd63/pid');
      },
    },
  ];
}
