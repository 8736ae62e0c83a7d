// The Debian package on a running host: upgraded under a mounted device, not removed under a device in use, and purged.
import type { HostCase } from '../host-case.js';
import { NEXT_PACKAGE, NEXT_VERSION } from '../debs.js';
import { attachedWith, installedHost } from '../installed.js';
import { must, sh, until } from '../shell.js';

/**
 * Reads the device without the page cache until /run/stop exists; counts in /run/reads and /run/failed. It pauses: it has
 * one processor together with what is tested.
 */
const READER = `(while [ ! -e /run/stop ]; do
  dd if=/dev/nbd63 of=/dev/null bs=64k count=16 iflag=direct status=none && echo >>/run/reads || echo >>/run/failed
  sleep 0.3
done) >/dev/null 2>&1 &`;

/** Waits for one more read than /run/before says. */
const ONE_MORE = 'while [ "$(wc -l </run/reads)" -le "$(cat /run/before)" ]; do sleep 0.3; done';

/** Everything that must be gone after a purge. fstab still names a unit, which systemd lists as not found. */
const LEFT = `ls -d /etc/overlaybd-nbd /run/overlaybd-nbd* /var/cache/overlaybd-nbd /usr/lib/overlaybd-nbd /usr/bin/overlaybd-nbd \\
  /usr/lib/systemd/system/overlaybd-nbd* /etc/systemd/system/*/overlaybd-nbd* /usr/lib/sysusers.d/overlaybd-nbd* \\
  /usr/share/doc/overlaybd-nbd /var/lib/systemd/deb-systemd-helper-*/*overlaybd-nbd* 2>/dev/null || true
  getent passwd overlaybd-nbd || true
  systemctl list-units --all --plain --no-legend 'overlaybd-nbd*' | grep -v -e slice -e not-found.*dead || true`;

export function packageCases(): HostCase[] {
  return [
    {
      name: 'an upgrade and a removal of the package',
      core: true,
      continues: { name: 'reads right after the start', commands: attachedWith('') },
      timeout: 900,
      before: (images) => installedHost(images),
      async run(check, images) {
        await until(check, 'the file system is mounted', 'mountpoint -q /srv/web');
        const files = `sha256sum -c --quiet ${images}/tree.sha256`;
        const mainPid = 'systemctl show -P MainPID overlaybd-nbd';
        const before = must(check, 'a process serves', mainPid).stdout;
        must(check, 'a reader begins', READER);
        await until(check, 'the reader reads', 'test -s /run/reads');
        const upgraded = must(
          check,
          'the package is upgraded',
          `dpkg -i ${images}/${NEXT_PACKAGE}`,
        );
        check.equal(
          /^overlaybd-nbd: .*$/m.exec(upgraded.stderr)?.[0],
          undefined,
          'the upgrade prints no message',
        );
        must(
          check,
          'the reader stops',
          `wc -l </run/reads >/run/before; ${ONE_MORE}; touch /run/stop`,
        );
        check.equal(sh('cat /run/failed 2>/dev/null || true').stdout, '', 'no read failed');
        must(check, 'reads went on', 'test "$(wc -l </run/reads)" -gt "$(cat /run/before)"');
        const after = must(check, 'a process serves after it', mainPid).stdout;
        check.ok(after !== before, 'another process runs', `${before}, ${after}`);
        const status = sh('overlaybd-nbd status --json --state /run/overlaybd-nbd').stdout;
        check.match(status, new RegExp(`"${NEXT_VERSION}"`), 'it has the new version');
        must(check, 'the file system is still mounted', files, '/srv/web');
        must(
          check,
          'daemon.json is unchanged',
          'grep -q config.v1.json /etc/overlaybd-nbd/daemon.json',
        );

        must(
          check,
          'a process uses the file system',
          '(cd /srv/web; exec sleep 1000) >/dev/null 2>&1 & echo $! >/run/sleeper',
        );
        const refused = sh('dpkg -r overlaybd-nbd');
        check.ok(refused.code !== 0, 'the package is not removed under a device in use');
        check.match(refused.stderr, /nbd63.*in use[^]*unmount/, 'the error tells the reason');
        must(check, 'the service runs', 'systemctl is-active overlaybd-nbd');
        must(check, 'the files can be read', files, '/srv/web');

        must(
          check,
          'it is purged when nothing is in use',
          'kill "$(cat /run/sleeper)"; umount /srv/web; dpkg -P overlaybd-nbd',
        );
        check.equal(sh(LEFT).stdout, '', 'no file is left');
        check.equal(sh('cat /sys/block/nbd63/pid || true').stdout, '', 'the device is free');
        must(check, 'images stay', 'test -e /var/lib/overlaybd/web/config.v1.json');
      },
    },
  ];
}
