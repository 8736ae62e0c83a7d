// Boots: every unit starts, or waits until an operator repairs something and then starts by itself.
import { setTimeout as pause } from 'node:timers/promises';
import type { Check } from '../../kernel/checks.js';
import type { HostCase } from '../host-case.js';
import { installedHost } from '../installed.js';
import { must, sh, until } from '../shell.js';

const MOUNTED = 'mountpoint -q /srv/web';

/** Seconds until systemd gives up on units without their own timeout; its default is 90. */
const PATIENCE = 25;
const IMPATIENT_FILE = '/etc/systemd/system.conf.d/test.conf';
const IMPATIENT = `mkdir -p /etc/systemd/system.conf.d
printf '[Manager]\\nDefaultTimeoutStartSec=${PATIENCE}s\\n' >${IMPATIENT_FILE}
`;
/** For a case that runs on the machine afterwards. */
export const PATIENT_AGAIN = `rm ${IMPATIENT_FILE}; systemctl daemon-reload`;

export function bootCases(): HostCase[] {
  return [
    {
      name: 'first boot',
      core: true,
      before: (images) => installedHost(images),
      async run(check, images) {
        await comesUp(check, images);
        check.equal(
          sh('systemctl is-system-running --wait').stdout,
          'running',
          'the boot is complete',
        );
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
        must(
          check,
          'the operator repairs the configuration',
          'cp /etc/good.json /etc/overlaybd-nbd/daemon.json',
        );
        await comesUp(check, images);
      },
    },
    {
      name: 'a disk that appears late',
      before: (images) =>
        `${installedHost(images)}${IMPATIENT}mv /var/lib/overlaybd /var/lib/late\n`,
      async run(check, images) {
        await staysDown(check);
        must(
          check,
          'the disk appears',
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
  must(check, 'the files are right', `sha256sum -c --quiet ${images}/tree.sha256`, '/srv/web');
  await until(check, 'no unit has failed', '! systemctl --failed --no-legend | grep .', 20);
}

/** No other unit may wait for one that cannot start. */
async function staysDown(check: Check): Promise<void> {
  await until(check, 'users can log in meanwhile', 'systemctl is-active systemd-user-sessions');
  await until(
    check,
    'the daemon is tried again',
    '[ "$(systemctl show -P NRestarts overlaybd-nbd)" -gt 2 ] || systemctl is-active overlaybd-nbd',
  );
  await pause((PATIENCE + 5) * 1000);
  check.ok(sh(MOUNTED).code !== 0, 'nothing is mounted');
  await until(
    check,
    'the journal tells what is waited for',
    'journalctl -b -u overlaybd-nbd-attach@web -o cat | grep -i wait',
    30,
  );
}
