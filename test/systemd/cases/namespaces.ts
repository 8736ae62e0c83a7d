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
        must(check, 'restarts', 'systemctl restart overlaybd-nbd');
        check.ok(sh(WARNING).code !== 0, 'nothing is wrong with a shared root');
        // What is propagated already would stay in every namespace that there is.
        must(check, 'unmounts', 'systemctl stop srv-web.mount');
        must(check, 'the root becomes private', 'mount --make-rprivate /');
        must(check, 'mounts', 'systemctl start srv-web.mount');
        must(check, 'restarts', 'systemctl restart overlaybd-nbd');
        await until(check, 'the log tells', WARNING, 10);
        must(check, 'unmounts', 'umount /srv/web');
        const refused = sh('overlaybd-nbd detach --state /run/overlaybd-nbd /dev/nbd63');
        check.match(refused.stderr, /own mount namespace/, 'the device is still in use, and why');
        must(check, 'a restart lets go of it', 'systemctl restart overlaybd-nbd');
        await pause(1000);
        must(check, 'detaches', 'systemctl stop overlaybd-nbd-attach@web');
        must(check, 'and is free', 'test ! -e /sys/block/nbd63/pid');
      },
    },
  ];
}
