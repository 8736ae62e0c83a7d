// A fake kernel for tests: connects "devices" of a fake /sys, keeps the sockets that it gets, and reads over them as
// the kernel would. It reports forbidden calls, and does not know daemons.
import { setTimeout as pause } from 'node:timers/promises';
import { OverlaybdError } from '../../daemon/errors.js';
import type { NbdDriver } from '../../daemon/kernel/driver.js';
import type { DeviceOwner } from '../../daemon/kernel/sysfs.js';
import { EAGAIN } from '../../daemon/lib/errno.js';
import { descriptors } from '../../daemon/native/descriptors.js';
import { sockets } from '../../daemon/native/socket.js';
import type { FakeSysfs } from './fake-sysfs.js';
import { requestBytes } from './nbd-client.js';
import type { ConnectRequest } from '../../daemon/kernel/device-settings.js';
import { openTargets } from './descriptors.js';

/** The process that connected a device, as /sys shows it. */
export const FAKE_PID = 4242;

interface Connected {
  readonly request: ConnectRequest;
  /** Duplicates of the sockets. */
  sockets: number[];
}

/** A descriptor that outlives its original, like the kernel's reference. */
function duplicate(fd: number): number {
  const [a, b] = sockets.pair();
  try {
    const sent = descriptors.send(a, Buffer.from('x'), 0, 1, Int32Array.of(fd));
    if (sent !== 1) throw new Error(`sending a descriptor: ${sent}`);
    const into = new Int32Array(1);
    descriptors.recv(b, Buffer.alloc(1), 0, 1, into);
    return into[0] ?? -1;
  } finally {
    descriptors.close(a);
    descriptors.close(b);
  }
}

export class FakeDriver implements NbdDriver {
  survives = true;
  addsDevices = true;
  /** Devices that are open. */
  readonly open = new Set<number>();
  readonly #sysfs: FakeSysfs;
  readonly devices = new Map<number, Connected>();
  /** All calls in order. */
  readonly calls: string[] = [];
  /** Called before each operation; an error that it throws is the kernel's answer. */
  before: (what: string, index: number) => void | Promise<void> = () => undefined;
  /** Kernels before 5.14 keep no backend. */
  keepsBackend = true;
  closed = false;

  constructor(sysfs: FakeSysfs) {
    this.#sysfs = sysfs;
  }

  async connect(request: ConnectRequest, passed: readonly number[]): Promise<void> {
    const { index, backend, size } = request;
    await this.#called('connect', index);
    if (this.devices.has(index)) throw new OverlaybdError('BUSY', `/dev/nbd${index}: in use`);
    this.devices.set(index, { request, sockets: passed.map(duplicate) });
    this.#sysfs.set(index, { pid: FAKE_PID, size, ...(this.keepsBackend && { backend }) });
  }

  async reconfigure(index: number, owner: DeviceOwner, added: readonly number[]): Promise<void> {
    await this.#called(`reconfigure ${added.length}`, index);
    const { request, sockets: has } = this.#owned(index, owner);
    const alive = has.filter((fd) => sockets.peerClosed(fd) !== 1);
    for (const fd of has) if (!alive.includes(fd)) descriptors.close(fd);
    const room = this.devices.get(index) as Connected;
    const most = Math.max(0, this.#most(index) - alive.length);
    room.sockets = [...alive, ...added.slice(0, most).map(duplicate)];
    this.devices.set(index, { request, sockets: room.sockets });
  }

  async disconnectOnClose(index: number, owner: DeviceOwner): Promise<void> {
    await this.#called('disconnectOnClose', index);
    this.#owned(index, owner);
  }

  async release(index: number, owner: DeviceOwner, onClose: boolean): Promise<void> {
    await this.#called(`release${onClose ? ' onClose' : ''}`, index);
    this.#owned(index, owner);
    if (this.open.has(index)) throw new OverlaybdError('BUSY', `/dev/nbd${index}: in use`);
    this.drop(index);
  }

  async disconnect(index: number, owner: DeviceOwner): Promise<void> {
    await this.#called('disconnect', index);
    this.#owned(index, owner);
    this.drop(index);
  }

  close(): void {
    this.closed = true;
  }

  /** Disconnects a device, for any reason. */
  drop(index: number): void {
    const device = this.devices.get(index);
    this.devices.delete(index);
    this.#sysfs.set(index, {});
    for (const fd of device?.sockets ?? []) descriptors.close(fd);
  }

  /** Kills one connection. */
  kill(index: number, which = 0): void {
    const [fd] = this.devices.get(index)?.sockets.splice(which, 1) ?? [];
    if (fd !== undefined) descriptors.close(fd);
  }

  dropAll(): void {
    for (const index of this.devices.keys()) this.drop(index);
  }

  /** Reads over one of the device's connections, as the kernel would. */
  async read(index: number, offset: number, length: number, which = 0): Promise<Buffer> {
    const fd = this.devices.get(index)?.sockets[which];
    if (fd === undefined) throw new Error(`device ${index} has no connection ${which}`);
    const request = requestBytes({ cookie: 0x1122n, offset, length });
    if (sockets.send(fd, request, 0, request.length) !== request.length) throw new Error('send');
    const reply = Buffer.alloc(16 + length);
    let at = 0;
    for (const end = performance.now() + 120_000; at < reply.length;) {
      const n = sockets.recv(fd, reply, at, reply.length - at);
      if (n > 0) at += n;
      else if (n !== -EAGAIN) throw new Error(`the connection ended: ${n}`);
      else if (performance.now() > end) throw new Error('no reply');
      else await pause(2);
    }
    const head = [reply.readUInt32BE(0), reply.readUInt32BE(4), reply.readBigUInt64BE(8)];
    if (head.join() !== [0x67446698, 0, 0x1122n].join()) throw new Error(`reply ${head.join()}`);
    return reply.subarray(16);
  }

  #most(index: number): number {
    return this.connections.get(index) ?? Infinity;
  }

  /** How many connections a device accepts; without an entry, any number. */
  readonly connections = new Map<number, number>();

  #owned(index: number, { backend }: DeviceOwner): Connected {
    const device = this.devices.get(index);
    if (device?.request.backend === backend) return device;
    throw new OverlaybdError('IO', `/dev/nbd${index}: it is not connected as ${backend}`);
  }

  async #called(what: string, index: number): Promise<void> {
    this.calls.push(`${what} ${index}`);
    await this.before(what, index);
  }
}

/** The open sockets of this process. */
export const openSockets = (): number => openTargets('socket:').length;
