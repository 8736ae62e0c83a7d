// The sockets of a running host are moved to systemd, as docs/systemd.md says, and back.
import { guideScript } from '../guide.js';
import type { HostCase } from '../host-case.js';
import { installedHost } from '../installed.js';
import { must, sh, until } from '../shell.js';

const READ = 'dd if=/dev/nbd63 of=/dev/null bs=4k count=64 iflag=direct status=none';

/** The process that listens on the unit's Unix socket. */
const OWNERS = `ss -Hlxp src /run/overlaybd-nbd.sock | grep -o '"[^"]*"' | sort`;

export function socketCases(): HostCase[] {
  return [
    {
      name: 'a socket unit on a running host',
      before: (images) => installedHost(images),
      async run(check) {
        await until(check, 'the file system is mounted', 'mountpoint -q /srv/web');
        const follow = (title: string): void => {
          must(check, `follows ${title}`, guideScript('systemd.md', title));
        };
        follow('How to change to sockets of systemd');
        check.match(sh(OWNERS).stdout, /"systemd"/, 'systemd has the socket');
        must(
          check,
          'the daemon serves it',
          'nbdinfo --size "nbd+unix:///web?socket=/run/overlaybd-nbd.sock"',
        );
        must(check, 'the device works', READ);
        must(
          check,
          'clients wait for a restart',
          'systemctl restart --no-block overlaybd-nbd; nbdinfo --size "nbd+unix:///web?socket=/run/overlaybd-nbd.sock"',
        );
        follow('How to change back');
        must(
          check,
          'the daemon listens itself',
          'nbdinfo --size "nbd+unix:///web?socket=/run/overlaybd-nbd/nbd.sock"',
        );
        check.equal(
          sh('test ! -e /run/overlaybd-nbd.sock').code,
          0,
          'no socket of systemd is left',
        );
        must(check, 'the device still works', READ);
        check.equal(
          sh('systemctl is-active srv-web.mount').stdout,
          'active',
          'the file system was mounted all the time',
        );
      },
    },
  ];
}
