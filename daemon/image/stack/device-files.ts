// Finds the file of a further device of an EROFS image, from what --blobs names.

import { open, opendir, stat } from 'node:fs/promises';
import { resolve } from 'node:path';
import { messageOf } from '../../errors.js';
import { errorOf } from '../../lib/fault.js';
import { hasSizeOf, isImageOf, IMAGE_HEAD, type NeededDevice } from '../../erofs/devices/open.js';
import { MAX_FOLDER_FILES } from '../../erofs/devices/limits.js';
import { quoted } from '../../lib/printable.js';

/**
 * @param path a folder; or the device itself, if the image has one
 * @param image the path of the image, which is not its own device; null: it is not a file
 * @returns null if it is not there
 * @throws OverlaybdError BAD_ARGUMENT, UNSUPPORTED, LIMIT, IO
 */
export async function deviceFile(
  path: string,
  device: NeededDevice,
  image: string | null,
): Promise<string | null> {
  const { tag, number, count } = device;
  const found = await tried(path, () => stat(path));
  if (!found) return null;
  if (!found.isDirectory()) {
    if (count === 1) return path;
    const why = `one file, and the image has ${count} further devices: name a folder that has them with --blobs`;
    throw errorOf('BAD_ARGUMENT', { path, got: count }, why);
  }
  const name = tag === '' ? `${number}` : nameOfTag(device);
  const named = resolve(path, name);
  if (await tried(named, () => stat(named))) return named;
  if (tag === '') return onlyFitting(path, device, image, () => true);
  if (!UUID.test(tag)) return null;
  // The device was an image of its own, and the tag is its UUID.
  return onlyFitting(path, device, image, async (file) => isImageOf(tag, await headOf(file)));
}

/** What mkfs.erofs writes as the tag of an image that it has merged with others. */
const UUID = /^[0-9a-f]{32}$/;

async function headOf(path: string): Promise<Buffer> {
  const head = Buffer.alloc(IMAGE_HEAD);
  const file = await open(path);
  try {
    const { bytesRead } = await file.read(head, 0, IMAGE_HEAD, 0);
    return head.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}

/** How messages name a device: "device 1 of 2, "layer.tar"". */
export function describeDevice({ number, count, tag, bytes }: NeededDevice): string {
  const text = tag === '' ? 'without a tag' : quoted(utf8(tag));
  return `device ${number} of ${count}, ${text}, ${bytes} bytes`;
}

/** What people have to do about a device that is not found. */
export function deviceAdvice({ tag, number, count }: NeededDevice): string {
  const name = quoted(tag === '' ? `${number}` : utf8(tag));
  const itself = count === 1 ? 'its file, or ' : '';
  return `name ${itself}the folder that has it as ${name} with --blobs`;
}

function utf8(text: string): string {
  return Buffer.from(text, 'latin1').toString('utf8');
}

/** A tag comes from the image, and must not lead out of the folder. */
function nameOfTag({ tag, number }: NeededDevice): string {
  const name = utf8(tag);
  if (name !== '.' && name !== '..' && !name.includes('/')) return name;
  const place = { section: `the tag of device ${number}`, got: quoted(name) };
  const why = `${place.got} is not the name of a file in the folder of --blobs`;
  throw errorOf('UNSUPPORTED', place, why);
}

/**
 * The one file of a folder that has the size of the device and is `right`.
 * @throws OverlaybdError IO if there is none, and a file cannot be read
 */
async function onlyFitting(
  folder: string,
  device: NeededDevice,
  image: string | null,
  right: (path: string) => boolean | Promise<boolean>,
): Promise<string | null> {
  const fitting: string[] = [];
  let unreadable: unknown = null;
  let count = 0;
  const entries = await tried(folder, () => opendir(folder));
  for await (const { name } of entries ?? []) {
    if (++count > MAX_FOLDER_FILES) {
      const expected = `at most ${MAX_FOLDER_FILES} files`;
      const why = `more than ${MAX_FOLDER_FILES} files: ${deviceAdvice(device)}`;
      throw errorOf('LIMIT', { path: folder, expected }, why);
    }
    const path = resolve(folder, name);
    if (path === image) continue;
    try {
      const isRight = await tried(path, async () => {
        const found = await stat(path);
        return found.isFile() && hasSizeOf(found.size, device) && right(path);
      });
      if (isRight) fitting.push(path);
    } catch (error) {
      // Another file may be the device.
      unreadable ??= error;
    }
  }
  if (fitting.length === 0 && unreadable !== null) throw unreadable;
  if (fitting.length <= 1) return fitting[0] ?? null;
  const got = `${fitting.length} files`;
  const why = `${got} may be ${describeDevice(device)}: ${deviceAdvice(device)}`;
  throw errorOf('BAD_ARGUMENT', { path: folder, got }, why);
}

/** @returns null if there is no such file @throws OverlaybdError IO */
async function tried<T>(path: string, work: () => Promise<T>): Promise<T | null> {
  try {
    return await work();
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return null;
    throw errorOf('IO', { path }, messageOf(cause), cause);
  }
}
