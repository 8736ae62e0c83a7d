// What is asked for when a device is attached, compared with what is attached, and made a record.

import { randomBytes } from 'node:crypto';
import { OverlaybdError } from '../errors.js';
import { transmissionFlags } from '../nbd/session.js';
import { backendOf, type DeviceRecord } from './record.js';
import type { HeldImage, ImageTable } from '../image/table.js';
import {
  DEFAULT_BLOCK_SIZE,
  DEFAULT_DEAD_CONN_TIMEOUT_SECONDS,
  DEFAULT_DEVICE_CONNECTIONS,
  DEFAULT_TIMEOUT_SECONDS,
  type ConnectRequest,
} from '../kernel/device-settings.js';
import type { AttachRequest } from '../control/requests.js';
import { areSameBlobs, sourceOfWords } from '../image/image-source.js';

const SETTINGS = ['connections', 'timeoutSeconds', 'deadConnTimeoutSeconds', 'blockSize'] as const;

export function newRecord(index: number, request: AttachRequest, held: HeldImage): DeviceRecord {
  const settings = {
    blockSize: request.blockSize ?? DEFAULT_BLOCK_SIZE,
    sizeMultiple: request.sizeMultiple ?? null,
  };
  return {
    version: 1,
    id: randomBytes(8).toString('hex'),
    index,
    export: request.export ?? null,
    image: [...held.source.blobs],
    partition: held.source.partition,
    fingerprint: held.fingerprint,
    size: deviceSize(held.image.size, settings),
    since: new Date().toISOString(),
    connections: request.connections ?? DEFAULT_DEVICE_CONNECTIONS,
    timeoutSeconds: request.timeoutSeconds ?? DEFAULT_TIMEOUT_SECONDS,
    deadConnTimeoutSeconds: request.deadConnTimeoutSeconds ?? DEFAULT_DEAD_CONN_TIMEOUT_SECONDS,
    ...settings,
    kernelPid: null,
    boot: null,
    user: process.geteuid?.() ?? 0,
    onClose: false,
  };
}

/** What the kernel is asked to connect. */
export function connectRequestOf(record: DeviceRecord): ConnectRequest {
  const { index, size, blockSize, timeoutSeconds, deadConnTimeoutSeconds } = record;
  return {
    index,
    size,
    blockSize,
    timeoutSeconds,
    deadConnTimeoutSeconds,
    serverFlags: transmissionFlags('simple'),
    backend: backendOf(record),
  };
}

/** A device has whole blocks; what is missing of the image's last one reads as zeros. */
export function deviceSize(
  imageSize: number,
  { blockSize, sizeMultiple }: Pick<DeviceRecord, 'blockSize' | 'sizeMultiple'>,
): number {
  const multiple = Math.max(blockSize, sizeMultiple ?? 0);
  return Math.ceil(imageSize / multiple) * multiple;
}

/** @param name an id, "nbd0" or "/dev/nbd0" */
export function isCalled({ id, index }: DeviceRecord, name: string): boolean {
  const number = /^(?:\/dev\/)?nbd(\d+)$/.exec(name)?.[1];
  return id === name || (number !== undefined && index === Number(number));
}

/** Whether the export, or the files, are those of the device. */
export function isSameSource(record: DeviceRecord, request: AttachRequest): boolean {
  const { export: name, image, partition } = request;
  if (image !== undefined) {
    const isImage = areSameBlobs(record.image, sourceOfWords(image).blobs);
    return record.export === null && isImage && record.partition === (partition ?? null);
  }
  // An export may be a partition by itself.
  return record.export === name && (partition === undefined || partition === record.partition);
}

/** Settings that are asked for and that the device does not have: "connections=2"; '' for none. */
export function differentSettings(record: DeviceRecord, request: AttachRequest): string {
  return SETTINGS.filter((name) => request[name] !== undefined && request[name] !== record[name])
    .map((name) => `${name}=${record[name]}`)
    .join(', ');
}

/** The error of a device that this daemon has attached already, and not as it is asked for. */
export function attachedByUs(
  record: DeviceRecord,
  imageName: string,
  request: AttachRequest,
): OverlaybdError {
  const what = record.export === null ? imageName : `the export ${JSON.stringify(record.export)}`;
  const as = isSameSource(record, request)
    ? ', as it was when it was attached: detach it first'
    : '';
  const facts = `this daemon has attached ${what} to it${as}`;
  return new OverlaybdError('BUSY', `/dev/nbd${record.index}: in use: ${facts}`);
}

/**
 * Opens what a request asks for.
 * @throws OverlaybdError when there is no such export, it is not served, or its image cannot be opened
 */
export async function openFor(
  { export: name, image, partition }: AttachRequest,
  images: ImageTable,
): Promise<HeldImage> {
  const source = image ? sourceOfWords(image) : images.sourceOf(name ?? '');
  return images.open({ ...source, partition: partition ?? source.partition });
}

/** Whether what a request asks for is another image now. One that cannot be opened any more says nothing. */
export async function hasChanged(
  { fingerprint }: DeviceRecord,
  request: AttachRequest,
  images: ImageTable,
): Promise<boolean> {
  const held = await openFor(request, images).catch(() => null);
  if (!held) return false;
  images.release(held);
  return held.fingerprint !== fingerprint;
}
