// The commands that show the demo export, for any address on which the daemon can listen; text only.

/** The last --listen among command line arguments, or undefined. */
export function listenAddress(args: readonly string[]): string | undefined {
  let address: string | undefined;
  for (const [at, arg] of args.entries()) {
    if (arg === '--listen') address = args[at + 1];
    else if (arg.startsWith('--listen=')) address = arg.slice('--listen='.length);
  }
  return address;
}

/** `address`: tcp://host:port or unix:///path, as for --listen. The daemon itself refuses other addresses. */
export function demoClients(address: string): string[] {
  if (!URL.canParse(address)) return [];
  const url = new URL(address);
  const unix = url.protocol === 'unix:';
  const uri = unix ? `'nbd+unix:///?socket=${url.pathname}'` : `nbd://${tcpHost(url)}`;
  const device = unix ? `-unix ${url.pathname}` : tcpHost(url).replace(/:(\d+)$/, ' $1');
  return [
    `nbdinfo ${uri}`,
    `nbdcopy ${uri} demo.img && mdir -i demo.img && mtype -i demo.img ::README.TXT`,
    `sudo nbd-client ${device} /dev/nbd0 && sudo mount -o ro /dev/nbd0 /mnt`,
  ];
}

const NBD_PORT = '10809';

/** HOST or HOST:PORT, whichever is shorter and means the same. */
function tcpHost({ hostname, port }: URL): string {
  const host = hostname === '127.0.0.1' ? 'localhost' : hostname;
  return port === '' || port === NBD_PORT ? host : `${host}:${port}`;
}
