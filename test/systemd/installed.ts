// A machine on which the guide of docs/container-host.md was followed before its boot: package, image, configuration,
// device and mount.
import { PACKAGE } from './debs.js';
import { guideScript } from './guide.js';

export const GUIDE = 'container-host.md';

/** Container images keep packages from starting services; and an emulated processor indexes man pages for minutes. */
export const AS_ON_A_HOST = 'rm -f /usr/sbin/policy-rc.d /var/lib/man-db/auto-update\n';

/** @param attachOptions options of the device, in web.env */
export function installedHost(images: string, attachOptions = ''): string {
  return [
    AS_ON_A_HOST,
    `dpkg -i ${images}/${PACKAGE} >/dev/null`,
    step('/', '2.'),
    step(images, '3.'),
    step('/', '6.'),
    `${setOptions(attachOptions)}\n`,
  ].join('\n');
}

/** Shell commands for a running machine that attach the device again, with these options, and mount it. */
export function attachedWith(attachOptions: string): string {
  const stop = 'systemctl stop srv-web.mount overlaybd-nbd-attach@web';
  return [stop, setOptions(attachOptions), 'systemctl start srv-web.mount'].join('; ');
}

/** The last line of the file counts. */
function setOptions(attachOptions: string): string {
  return `echo 'OVERLAYBD_ATTACH_OPTIONS=${attachOptions}' >>/etc/overlaybd-nbd/attach/web.env`;
}

function step(folder: string, ...titles: readonly string[]): string {
  return `cd ${folder}\n${offline(guideScript(GUIDE, ...titles))}`;
}

/** Without the steps that need a running systemd, or the kernel. */
function offline(script: string): string {
  const online = /^(systemctl|modprobe|ls|findmnt|runuser|overlaybd-nbd) /;
  return script
    .split('\n')
    .filter((line) => !online.test(line))
    .join('\n');
}
