// docs/container-host.md, followed literally on a machine that has nothing of ours, and back.
import { guideScript } from '../guide.js';
import type { HostCase } from '../host-case.js';
import { CHECKOUT, GUIDE, PROGRAM_FOLDER } from '../installed.js';
import { must, sh } from '../shell.js';

export function guideCases(): HostCase[] {
  return [
    {
      name: 'the guide from zero to removal',
      core: true,
      before: () => '',
      async run(check, images) {
        const follow = (title: string, folder = '/'): void => {
          must(check, `follows ${title}`, guideScript(GUIDE, title), folder);
        };
        follow('1. Program', CHECKOUT);
        follow('2. Kernel module');
        follow('3. User and units', PROGRAM_FOLDER);
        follow('4. Images', images);
        follow('5. Memory');
        follow('6. Start');
        follow('7. Device and mount');
        must(
          check,
          'the files are as they were',
          `sha256sum -c --quiet ${images}/tree.sha256`,
          '/srv/web',
        );
        const locked = sh('grep VmLck /proc/$(systemctl show -P MainPID overlaybd-nbd)/status');
        check.match(locked.stdout, /VmLck:\s+[1-9]/, 'memory is locked, as step 5 says');
        check.equal(
          sh('journalctl -b -q -u "overlaybd-nbd*" -p warning -o cat').stdout,
          '',
          'no warning in the journal',
        );
        follow('Removing it');
        check.equal(sh('ls /run | grep overlaybd || true').stdout, '', 'nothing is left in /run');
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
