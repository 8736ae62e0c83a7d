// Compares a request to attach with an attached device, and makes a record from it.

import { randomBytes } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { OverlaybdError } from '../errors.js';
import { deviceIndexOf } from '../kernel/device-path.js';
import { deviceError } from '../kernel/errors.js';
import { transmissionFlags } from '../nbd/session.js';
import type { ServedDevice } from './device.js';
import { backendOf, type DeviceRecord } from './record.js';
import type { HeldImage } from '../image/open-images.js';
import type { ImageTable } from '../image/table.js';
import {
  DEFAULT_BLOCK_SIZE,
  DEFAULT_DEAD_CONN_TIMEOUT_SECONDS,
  DEFAULT_DEVICE_CONNECTIONS,
  DEFAULT_TIMEOUT_SECONDS,
  type ConnectRequest,
} from '../kernel/device-settings.js';
import type { AttachRequest } from '../control/requests.js';
import { isRemote, metadataDigestOf } from '../image/disks/spec.js';
import {
  areSameBlobs,
  sourceOfWords,
  withSociIndex,
  type ImageSource,
} from '../image/plan/image-source.js';

/** Between the end of a read that waits for a registry and the kernel's time-out. */
const FETCH_MARGIN_SECONDS = 10;

const SETTINGS = ['connections', 'timeoutSeconds', 'deadConnTimeoutSeconds', 'blockSize'] as const;

/** @param fetchDeadlineSeconds how long a read may wait for a registry */
export function newRecord(
  index: number,
  request: AttachRequest,
  held: HeldImage,
  fetchDeadlineSeconds: number,
): DeviceRecord {
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
    beside: held.source.beside ?? null,
    partition: held.source.partition,
    fingerprint: held.fingerprint,
    metadata: metadataDigestOf(held.image.disk),
    sociIndex: held.image.sociIndex,
    size: deviceSize(held.image.size, settings),
    since: new Date().toISOString(),
    connections: request.connections ?? DEFAULT_DEVICE_CONNECTIONS,
    timeoutSeconds: request.timeoutSeconds ?? defaultTimeout(held, fetchDeadlineSeconds),
    deadConnTimeoutSeconds: request.deadConnTimeoutSeconds ?? DEFAULT_DEAD_CONN_TIMEOUT_SECONDS,
    ...settings,
    kernelPid: null,
    boot: null,
    user: process.geteuid?.() ?? 0,
    onClose: false,
  };
}

/** The kernel must wait longer than a read of a registry: it would cut the connection before the read fails. */
function defaultTimeout({ image }: HeldImage, fetchDeadlineSeconds: number): number {
  if (!isRemote(image.disk)) return DEFAULT_TIMEOUT_SECONDS;
  return Math.max(DEFAULT_TIMEOUT_SECONDS, fetchDeadlineSeconds + FETCH_MARGIN_SECONDS);
}

/** The request to the kernel that connects a device. */
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

/** The size of a device in whole blocks. The rest of an incomplete last block reads as zeros. */
export function deviceSize(
  imageSize: number,
  { blockSize, sizeMultiple }: Pick<DeviceRecord, 'blockSize' | 'sizeMultiple'>,
): number {
  const multiple = Math.max(blockSize, sizeMultiple ?? 0);
  return Math.ceil(imageSize / multiple) * multiple;
}

/** @param name an id, "nbd0" or "/dev/nbd0" */
export function isCalled({ id, index }: DeviceRecord, name: string): boolean {
  return id === name || deviceIndexOf(name) === index;
}

/** Whether a request names the export, or the files, of the device. */
export function isSameSource(record: DeviceRecord, request: AttachRequest): boolean {
  const { export: name, image, partition, beside = null } = request;
  if (image !== undefined) {
    const areSame = areSameBlobs(record.image, sourceOfWords(image).blobs);
    const isImage = areSame && isDeepStrictEqual(record.beside, beside);
    return record.export === null && isImage && record.partition === (partition ?? null);
  }
  // The export may itself be a partition.
  return record.export === name && (partition === undefined || partition === record.partition);
}

/** The device's values of the settings that differ from the request: "connections=2"; '' if none. */
export function differentSettings(record: DeviceRecord, request: AttachRequest): string {
  return SETTINGS.filter((name) => request[name] !== undefined && request[name] !== record[name])
    .map((name) => `${name}=${record[name]}`)
    .join(', ');
}

/** The error if this daemon has already attached the device, but not with what is requested. */
export function attachedByUs(
  record: DeviceRecord,
  imageName: string,
  request: AttachRequest,
): OverlaybdError {
  const what = record.export === null ? imageName : `the export ${JSON.stringify(record.export)}`;
  const as = isSameSource(record, request)
    ? ', but the image has changed since: detach it first'
    : '';
  const facts = `this daemon has attached ${what} to it${as}`;
  return deviceError('BUSY', record.index, `in use: ${facts}`);
}

/**
 * Opens the image of a request.
 * @param sociIndex the SOCI index that a device has it with; null: the newest
 * @throws OverlaybdError if there is no such export, it is not served, or its image cannot be opened
 */
export async function openFor(
  { export: name, image, partition, beside }: AttachRequest,
  images: ImageTable,
  sociIndex: string | null = null,
): Promise<HeldImage> {
  const source = image ? sourceOfWords(image, null, beside) : images.sourceOf(name ?? '');
  return images.open(
    withSociIndex({ ...source, partition: partition ?? source.partition }, sociIndex),
  );
}

/** The image of a device, with the SOCI index that it was attached with: what was pushed since does not matter. */
export function sourceOfRecord(record: DeviceRecord): ImageSource {
  const { image: blobs, partition, beside, sociIndex } = record;
  return withSociIndex({ blobs, partition, ...(beside && { beside }) }, sociIndex);
}

/** Whether the image of a request has changed. An image that can no longer be opened counts as unchanged. */
export async function hasChanged(
  { record, image: served }: Pick<ServedDevice, 'record' | 'image'>,
  request: AttachRequest,
  images: ImageTable,
): Promise<boolean> {
  const held = await openFor(request, images, record.sociIndex).catch(() => null);
  if (!held) return false;
  images.release(held);
  // A device that has what another version made of the same blobs has it still.
  const isSameBlobs = held.image.marks.identity === served.image.marks.identity;
  return !(isImageOf(held, record) || (isSameBlobs && held.fingerprint === record.fingerprint));
}

/** Whether an image is the one that a device was attached with. */
export function isImageOf(held: HeldImage, { fingerprint, metadata }: DeviceRecord): boolean {
  if (held.fingerprint !== fingerprint) return false;
  return metadata === null || metadata === metadataDigestOf(held.image.disk);
}
