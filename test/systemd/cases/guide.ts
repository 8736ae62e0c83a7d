// docs/container-host.md, followed literally on a machine without the project's files, and undone.
import { guideScript } from '../guide.js';
import type { HostCase } from '../host-case.js';
import { GUIDE, AS_ON_A_HOST } from '../installed.js';
import { must, sh } from '../shell.js';

/** Lists of packages that the machine cannot reach: an emulated processor reads them for a minute, in each apt-get. */
const NO_LISTS = 'rm -rf /var/lib/apt/lists/*\n';

export function guideCases(): HostCase[] {
  return [
    {
      name: 'the guide from zero to removal',
      timeout: 900,
      before: () => AS_ON_A_HOST + NO_LISTS,
      async run(check, images) {
        const follow = (title: string, folder = '/'): void => {
          must(check, `follows ${title}`, guideScript(GUIDE, title), folder);
        };
        follow('1. Package', images);
        must(check, 'the service runs', 'systemctl is-active overlaybd-nbd');
        follow('2. Kernel module');
        follow('3. Images', images);
        follow('4. Memory');
        follow('5. Start');
        follow('6. Device and mount');
        must(
          check,
          'the files are right',
          `sha256sum -c --quiet ${images}/tree.sha256`,
          '/srv/web',
        );
        const locked = sh('grep VmLck /proc/$(systemctl show -P MainPID overlaybd-nbd)/status');
        check.match(locked.stdout, /VmLck:\s+[1-9]/, 'memory is locked, as step 4 says');
        check.equal(
          sh('journalctl -b -q -u "overlaybd-nbd*" -p warning -o cat').stdout,
          '',
          'no warning in the journal',
        );
        follow('Removing it');
        check.equal(sh('ls /run | grep overlaybd || true').stdout, '', 'no file is left in /run');
        check.equal(sh('cat /sys/block/nbd63/pid || true').stdout, '', 'the device is free');
        const left = sh(
          "systemctl list-units --plain --no-legend 'overlaybd-nbd*' | grep -v slice || true",
        );
        check.equal(left.stdout, '', 'no unit is left');
        check.equal(
          sh('ls /usr/lib/systemd/system | grep overlaybd || true').stdout,
          '',
          'no unit file',
        );
      },
    },
  ];
}
