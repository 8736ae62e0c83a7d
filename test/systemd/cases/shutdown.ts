// Poweroff while programs read from a mounted image and do not stop.
import { spawn } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import type { HostCase } from '../host-case.js';
import { installedHost } from '../installed.js';
import { must, sh, until } from '../shell.js';

/**
 * Seconds: well below the dead-connection timeout of 90 s, for which readers once delayed it. The time is printed; most
 * of it is two starts of Node.js, which are slow on a busy machine without KVM.
 */
const LIMIT = 60;
const READERS = 4;
const MARK = 'test: poweroff is asked for';

export function shutdownCases(): HostCase[] {
  return [
    {
      name: 'poweroff with busy readers',
      core: true,
      continues: { name: 'first boot' },
      before: (images) => installedHost(images),
      async run(check) {
        await until(check, 'the file system is mounted', 'mountpoint -q /srv/web');
        // Children of this service, which a shutdown does not stop: they read until all processes are killed. Few
        // processes, because starting them is most of the work of an emulated processor.
        const loop =
          'while :; do dd if=/dev/nbd63 of=/dev/null bs=4k iflag=direct status=none || sleep 0.1; done';
        for (let i = 0; i < READERS; i++) {
          spawn('/bin/sh', ['-c', loop], { cwd: '/srv/web', stdio: 'ignore', detached: true });
        }
        await pause(3000);
        const before =
          "cut -d' ' -f1 /sys/block/nbd63/stat | tr -d ' '; awk '{print $1}' /sys/block/nbd63/stat";
        check.ok(Number(sh(before).stdout.split('\n').at(-1)) > 0, 'the programs read');
        must(check, 'the mount is busy', '! umount /srv/web 2>/dev/null');
      },
      async powerOff() {
        writeFileSync('/dev/kmsg', `<1>${MARK}\n`);
        sh('systemctl poweroff --no-block');
        await pause(600_000);
      },
      judge(shown) {
        const start = secondsOf(shown, MARK);
        const end = secondsOf(shown, 'reboot: Power down');
        const took = start === null || end === null ? null : end - start;
        console.log(`#   poweroff took ${took?.toFixed(1)} s`);
        return [
          { good: took !== null, what: 'it powers off' },
          { good: took !== null && took < LIMIT, what: `within ${LIMIT} s` },
        ];
      },
    },
  ];
}

/** When the kernel printed it, in seconds since its start. */
function secondsOf(shown: string, text: string): number | null {
  const line = shown.split('\n').find((each) => each.includes(text));
  const seconds = /\[\s*(\d+\.\d+)\]/.exec(line ?? '')?.[1];
  return seconds === undefined ? null : Number(seconds);
}
