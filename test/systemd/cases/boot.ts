// Boots: everything comes up, or waits for whoever mends what is broken and then comes up by itself.
import { setTimeout as pause } from 'node:timers/promises';
import type { Check } from '../../kernel/checks.js';
import type { HostCase } from '../host-case.js';
import { installedHost } from '../installed.js';
import { must, sh, until } from '../shell.js';

const MOUNTED = 'mountpoint -q /srv/web';

/** Seconds after which systemd gives up on what has no time-out of its own; 90 is its default. */
const PATIENCE = 25;
const IMPATIENT = `mkdir -p /etc/systemd/system.conf.d
printf '[Manager]\\nDefaultTimeoutStartSec=${PATIENCE}s\\n' >/etc/systemd/system.conf.d/test.conf
`;

export function bootCases(): HostCase[] {
  return [
    {
      name: 'first boot',
      core: true,
      before: (images) => installedHost(images),
      async run(check, images) {
        await comesUp(check, images);
        check.equal(sh('systemctl is-system-running --wait').stdout, 'running', 'the boot is over');
      },
    },
    {
      name: 'a broken daemon.json at boot',
      core: true,
      before: (images) =>
        `${installedHost(images)}${IMPATIENT}
cp /etc/overlaybd-nbd/daemon.json /etc/good.json
echo '{ "exports": ' >/etc/overlaybd-nbd/daemon.json
`,
      async run(check, images) {
        await staysDown(check);
        must(check, 'the operator mends it', 'cp /etc/good.json /etc/overlaybd-nbd/daemon.json');
        await comesUp(check, images);
      },
    },
    {
      name: 'a disk that comes late',
      before: (images) =>
        `${installedHost(images)}${IMPATIENT}mv /var/lib/overlaybd /var/lib/late\n`,
      async run(check, images) {
        await staysDown(check);
        must(
          check,
          'the disk comes',
          'mkdir /var/lib/overlaybd; mount --bind /var/lib/late /var/lib/overlaybd',
        );
        await comesUp(check, images);
      },
    },
  ];
}

async function comesUp(check: Check, images: string): Promise<void> {
  const seconds = await until(check, 'the file system is mounted', MOUNTED, 150);
  check.note(`mounted after ${seconds.toFixed(1)} s`);
  must(
    check,
    'the files are as they were',
    `sha256sum -c --quiet ${images}/tree.sha256`,
    '/srv/web',
  );
  await until(check, 'no unit has failed', '! systemctl --failed --no-legend | grep .', 20);
}

/** Nothing else may wait for what cannot come up. */
async function staysDown(check: Check): Promise<void> {
  await until(check, 'people may log in meanwhile', 'systemctl is-active systemd-user-sessions');
  await until(
    check,
    'the daemon is tried again',
    '[ "$(systemctl show -P NRestarts overlaybd-nbd)" -gt 2 ] || systemctl is-active overlaybd-nbd',
  );
  await pause((PATIENCE + 5) * 1000);
  check.ok(sh(MOUNTED).code !== 0, 'nothing is mounted');
  await until(
    check,
    'the journal says what is waited for',
    'journalctl -b -u overlaybd-nbd-attach@web -o cat | grep -i wait',
    30,
  );
}
