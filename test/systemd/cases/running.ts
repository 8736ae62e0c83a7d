// A running machine: restarts, refused stops, and a socket unit that is started later.
import type { Check } from '../../kernel/checks.js';
import type { HostCase } from '../host-case.js';
import { attachedWith, installedHost } from '../installed.js';
import { must, sh, until } from '../shell.js';
import { PATIENT_AGAIN } from './boot.js';

/** Shorter than the longer time without a daemon. */
const DEAD_CONN = '--dead-conn-timeout 2';
const MOUNTED = 'mountpoint -q /srv/web';
const READ = 'dd if=/dev/nbd63 of=/dev/null bs=4k count=64 iflag=direct status=none';

export function runningCases(): HostCase[] {
  return [
    {
      name: 'reads right after the start',
      core: true,
      continues: {
        name: 'a broken daemon.json at boot',
        commands: `${PATIENT_AGAIN}; ${attachedWith(DEAD_CONN)}`,
      },
      before: (images) => installedHost(images, DEAD_CONN),
      async run(check) {
        await until(check, 'the file system is mounted', MOUNTED);
        for (const away of [0, 4]) {
          const result = sh(
            `systemctl stop overlaybd-nbd; sleep ${away}; systemctl start overlaybd-nbd; ${READ}`,
          );
          check.equal(
            result,
            { code: 0, stdout: '', stderr: '' },
            `reads after ${away} s without a daemon`,
          );
        }
      },
    },
    {
      name: 'a stop that is refused',
      before: (images) => installedHost(images),
      async run(check, images) {
        await until(check, 'the file system is mounted', MOUNTED);
        must(
          check,
          'a process uses the file system',
          '(cd /srv/web; exec sleep 1000) >/dev/null 2>&1 & echo $! >/run/sleeper',
        );
        sh('systemctl stop overlaybd-nbd-attach@web');
        const said = sh('journalctl -b -u overlaybd-nbd-attach@web -o cat').stdout;
        check.match(said, /nbd63: in use/, 'the stop is refused');
        check.equal(sh(MOUNTED).code, 0, 'it is still mounted');
        must(
          check,
          'the files can be read',
          `sha256sum -c --quiet ${images}/tree.sha256`,
          '/srv/web',
        );
        must(check, 'the mount starts again', 'systemctl start srv-web.mount');
        must(check, 'the device is attached', 'systemctl is-active overlaybd-nbd-attach@web');
        sh('kill "$(cat /run/sleeper)"');
        must(check, 'the unit stops now', 'systemctl stop overlaybd-nbd-attach@web');
        check.ok(sh(MOUNTED).code !== 0, 'it is unmounted');
        must(check, 'the mount starts', 'systemctl start srv-web.mount');
        must(
          check,
          'the files are right',
          `sha256sum -c --quiet ${images}/tree.sha256`,
          '/srv/web',
        );
        await longStart(check);
      },
    },
  ];
}

function shown(property: string): string {
  return sh(`systemctl show -P ${property} long-start`).stdout;
}

/** A start that takes longer than its unit allows: the daemon tells the manager how far it is, and gets more time. */
async function longStart(check: Check): Promise<void> {
  const allowed = 30;
  must(
    check,
    'a layer that is read as a whole, text in gzip',
    `mkdir /run/long; base64 /dev/urandom | head -c 128M >/run/long/text || test $? = 141
     tar -C /run/long -c text | gzip -1 >/run/long/layer.tar.gz; rm /run/long/text`,
  );
  const serve =
    'overlaybd-nbd serve --listen unix:///run/long/socket --state /run/long/state /run/long/layer.tar.gz';
  must(
    check,
    'a unit of type notify',
    `systemd-run --no-block --unit long-start -p Type=notify -p CPUQuota=50% -p TimeoutStartSec=${allowed} ${serve}`,
  );
  await until(
    check,
    'the manager shows how far the opening is',
    'systemctl show -P StatusText long-start | grep -q "^opening /run/long/layer.tar.gz: "',
  );
  // On any machine it then takes longer than the unit allows.
  must(
    check,
    'its process stands still',
    `systemctl kill -s STOP long-start; sleep ${allowed + 2}`,
  );
  check.equal(shown('ActiveState'), 'activating', 'the manager still waits');
  must(check, 'it goes on', 'systemctl kill -s CONT long-start');
  await until(check, 'it is ready', 'systemctl is-active long-start');
  check.equal(shown('Result'), 'success', 'and was not ended');
  sh('systemctl stop long-start; rm -rf /run/long');
}
