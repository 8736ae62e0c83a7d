// Mount and process namespaces: a host whose / is private, and the daemon as the only process of a container.
import { setTimeout as pause } from 'node:timers/promises';
import type { HostCase } from '../host-case.js';
import { installedHost } from '../installed.js';
import { must, sh, until } from '../shell.js';

const WARNING = 'journalctl -b -u overlaybd-nbd -p warning -o cat | grep -q "own mount namespace"';

/** What a container is to the daemon: first process, read-only root, a tmpfs in /run, no HOME, no session. */
const CONTAINER = `env -i PATH=/usr/bin:/bin setsid unshare --fork --pid --mount-proc --mount /bin/sh -c '
  mount -o bind / /mnt && cd /mnt && mount -o remount,bind,ro /mnt &&
  mount -t proc proc /mnt/proc && mount -t tmpfs tmpfs /mnt/run && mount --rbind /dev /mnt/dev &&
  exec chroot /mnt /usr/bin/overlaybd-nbd serve web=IMAGE --listen tcp://127.0.0.1:10809 --state /run/overlaybd-nbd
' </dev/null >/run/container.log 2>&1 & echo $! >/run/container.pid`;

export function namespaceCases(): HostCase[] {
  return [
    {
      name: 'a host whose root is private',
      before: (images) => installedHost(images),
      async run(check) {
        await until(check, 'the file system is mounted', 'mountpoint -q /srv/web');
        must(check, 'restarts', 'systemctl restart overlaybd-nbd');
        check.ok(sh(WARNING).code !== 0, 'nothing is wrong with a shared root');
        must(check, 'the root becomes private', 'mount --make-rprivate /');
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
    {
      name: 'in a container',
      before: (images) => installedHost(images),
      async run(check, images) {
        const image = `${images}/web/config.v1.json`;
        must(check, 'starts', CONTAINER.replace('web=IMAGE', `--export web=${image}`));
        await until(
          check,
          'it is ready',
          'grep -q "ready: nbd://127.0.0.1" /run/container.log',
          60,
        );
        const size = must(check, 'a client reads', 'qemu-img info nbd://127.0.0.1:10809/web');
        check.match(size.stdout, /33554432 bytes/, 'its size');
        const inside = 'nsenter -a -t "$(pgrep -f "^/usr/bin/node.*overlaybd-nbd serve --export")"';
        check.equal(
          sh(`${inside} readlink /proc/1/exe`).stdout,
          '/usr/bin/node',
          'it is the first process',
        );
        const status = sh(
          `${inside} env -i /usr/bin/overlaybd-nbd status --state /run/overlaybd-nbd`,
        );
        check.match(status.stdout, /web/, 'commands find it');
        check.equal(
          sh('grep -ciE "error|warn" /run/container.log || true').stdout,
          '0',
          'nothing to complain of',
        );
        must(
          check,
          'SIGTERM ends it',
          'kill "$(pgrep -f "^/usr/bin/node.*overlaybd-nbd serve --export")"',
        );
        await until(check, 'in order', 'grep -q stopped /run/container.log', 15);
      },
    },
  ];
}
