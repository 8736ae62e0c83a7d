// nbd-client, the usual way to a device, against the daemon: transports, ioctl and netlink, connections, file systems.
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { runTool, type ToolResult } from '../../support/tools.js';
import type { Case, Check } from '../checks.js';
import type { Daemon } from '../daemon.js';
import {
  attribute,
  checkMounted,
  deviceSha256,
  freeDevice,
  isConnected,
  untilConnected,
} from '../device.js';
import type { FileSystem, Images } from '../images.js';
import { KernelLog } from '../kernel.js';
import type { World } from '../world.js';

/** In CI, and with --long. The cases of `mount` have all file systems. */
const FILE_SYSTEMS: readonly FileSystem[] = ['ext4', 'xfs'];
const ALL_FILE_SYSTEMS: readonly FileSystem[] = ['ext4', 'erofs', 'squashfs', 'xfs', 'btrfs'];

export function nbdClientCases(images: Images, isLong: boolean): Case<World>[] {
  const types = isLong ? ALL_FILE_SYSTEMS : FILE_SYSTEMS;
  return [...wholeDevices(isLong), anySize(), ...types.map((type) => fileSystem(type, images))];
}

/** With --long every combination; without, each transport with each way, and each of these with both counts. */
function wholeDevices(isLong: boolean): Case<World>[] {
  return (['TCP', 'Unix socket'] as const).flatMap((transport, i) =>
    (['netlink', 'ioctl'] as const).flatMap((way, j) =>
      (isLong ? [1, 4] : [i === j ? 4 : 1]).map((connections) => ({
        name: `nbd-client over ${transport}, ${way}, -C ${connections}`,
        tools: ['nbd-client'],
        processors: 2,
        async run(check: Check, world: World) {
          const log = new KernelLog();
          const options = [...(way === 'ioctl' ? ['-L'] : []), '-C', `${connections}`];
          const device = await connect(check, world, transport, 'flat', options);
          const { size, sha256 } = world.images.flat;
          check.equal(Number(attribute(device, 'size')) * 512, size, 'size');
          check.equal(attribute(device, 'ro'), '1', 'read-only');
          check.equal(await clientsOf(world.daemon, connections), connections, 'connections');
          check.equal(await deviceSha256(device), sha256, 'the whole device');
          check.equal(log.errors(), [], 'no error');
        },
      })),
    ),
  );
}

/**
 * The kernel counts in sectors, and reads squashfs two at a time: the size must include the last ones, which zeros
 * fill.
 */
function anySize(): Case<World> {
  return {
    name: 'nbd-client and an image whose size is not a multiple of a sector',
    tools: ['nbd-client'],
    async run(check, world) {
      const { nopad } = world.images;
      if (!nopad) {
        check.skip('', 'NOT TESTED, not installed: mksquashfs');
        return;
      }
      const log = new KernelLog();
      const device = await connect(check, world, 'TCP', 'nopad', []);
      const padded = Math.ceil(nopad.size / 1024) * 1024;
      check.equal(Number(attribute(device, 'size')) * 512, padded, 'size');
      const bytes = readFileSync(device);
      const sha256 = createHash('sha256').update(bytes.subarray(0, nopad.size)).digest('hex');
      check.equal(sha256, nopad.sha256, 'the bytes of the whole image');
      check.ok(
        bytes.subarray(nopad.size).every((byte) => byte === 0),
        'zeros after it',
      );
      await checkMounted(check, world, device, 'squashfs');
      check.equal([...log.errors(), ...log.troubles()], [], 'no error');
    },
  };
}

function fileSystem(type: FileSystem, { missing }: Images): Case<World> {
  return {
    name: `nbd-client and ${type}`,
    processors: 2,
    tools: ['nbd-client', ...(missing[type] === undefined ? [] : [missing[type]])],
    async run(check, world) {
      const log = new KernelLog();
      const device = await connect(check, world, 'Unix socket', type, ['-C', '2']);
      await checkMounted(check, world, device, type);
      check.equal([...log.errors(), ...log.troubles()], [], 'no error');
    },
  };
}

/** Connects a free device; it is disconnected at the end of the case. */
async function connect(
  check: Check,
  { daemon }: World,
  transport: 'TCP' | 'Unix socket',
  name: string,
  options: readonly string[],
): Promise<string> {
  await daemon.start();
  const device = freeDevice();
  const address = transport === 'TCP' ? ['127.0.0.1', daemon.port] : ['-unix', daemon.socketPath];
  const { code, stderr } = await nbdClient([...address, device, '-N', name, ...options]);
  check.equal(code, 0, 'connects');
  if (code !== 0) throw new Error(stderr);
  check.defer(async () => {
    const end = await nbdClient(['-d', device]);
    check.equal(end.code, 0, 'disconnects');
    await untilConnected(device, false);
  });
  await untilConnected(device, true);
  check.ok(isConnected(device), `${device} is connected`);
  return device;
}

/** The number of the daemon's connections; those of an earlier case may still be ending. */
async function clientsOf(daemon: Daemon, wanted: number): Promise<number> {
  for (let i = 0; ; i++) {
    const { clients } = await daemon.control.status();
    if (clients === wanted || i === 100) return clients;
    await pause(50);
  }
}

const nbdClient = (args: readonly string[]): Promise<ToolResult> => runTool('nbd-client', args);
