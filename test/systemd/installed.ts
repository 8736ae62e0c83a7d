// A machine on which the guide of docs/container-host.md has been followed before it boots: program, units, user, image,
// configuration, device and mount.
import { fileURLToPath } from 'node:url';
import { guideScript } from './guide.js';

export const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url));
export const PROGRAM_FOLDER = '/usr/lib/overlaybd-nbd';
export const GUIDE = 'container-host.md';

/** @param attachOptions of the device, in web.env */
export function installedHost(images: string, attachOptions = ''): string {
  return [
    step(CHECKOUT, '1.'),
    step('/', '2.'),
    step(PROGRAM_FOLDER, '3.'),
    step(images, '4.'),
    step('/', '7.'),
    'systemctl -q enable overlaybd-nbd-attach-helper.socket overlaybd-nbd.service',
    `echo 'OVERLAYBD_ATTACH_OPTIONS=${attachOptions}' >>/etc/overlaybd-nbd/attach/web.env`,
    '',
  ].join('\n');
}

function step(folder: string, ...titles: readonly string[]): string {
  return `cd ${folder}\n${offline(guideScript(GUIDE, ...titles))}`;
}

/** Without what needs a running systemd, or the kernel. */
function offline(script: string): string {
  const online = /^(systemctl|modprobe|ls|findmnt|runuser|overlaybd-nbd) /;
  return script
    .split('\n')
    .filter((line) => !online.test(line))
    .join('\n');
}
