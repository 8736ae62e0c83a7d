// What the plain archives of an attached device were: kept beside its record, and compared if they are other files when a
// daemon finds the device again. Somebody may have copied them, or changed them.

import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { parseWith } from '../config/parse.js';
import { OverlaybdError, messageOf } from '../errors.js';
import type { HeldImage } from '../image/open-images.js';
import { contentDigests, plainContents } from '../image/plain-contents.js';
import { devicePath } from '../kernel/device-path.js';
import { strictObject, stringOf } from '../lib/schema.js';
import { Turns } from '../lib/turns.js';
import type { DeviceEnvironment } from './environment.js';
import type { DeviceRecord } from './record.js';
import { readStateFile, replaceStateFile } from './state-file.js';

type ContentsEnvironment = Pick<DeviceEnvironment, 'records' | 'log'>;

/** Bytes: 255 content sources, 70 each. */
const MAX_FILE_BYTES = 64 << 10;
/** Between two steps of 1 MiB in the background: some 150 MB/s at most. */
const PAUSE_MS = 5;
const digest = stringOf('64 hexadecimal digits', /^[0-9a-f]{64}$/);

const contentsSchema = strictObject({
  version: v.literal(1),
  /** A hash of what the system says of the files: device, inode, size and time of the last change of their bytes. */
  identity: digest,
  /** SHA-256 of each, in the order of the disk; null: they are still being computed. */
  digests: v.nullable(v.array(digest)),
});

type Contents = v.InferOutput<typeof contentsSchema>;

/** Archives that are other files, by the path of what is kept: they are not read again at each attempt to find the device. */
const refused = new Map<string, { readonly identity: string; readonly error: OverlaybdError }>();

/** One device at a time reads its archives. */
const turns = new Turns();

/**
 * Notes which files the archives of a device are, and has their digests computed in the background.
 * The device is served all the same if that fails.
 */
export function keepContents(
  record: DeviceRecord,
  held: HeldImage,
  environment: ContentsEnvironment,
): void {
  const { image } = held;
  if (plainContents(image.disk).length === 0) return;
  const path = environment.records.contentsPath(record.id);
  try {
    if ((readIfThere(path)?.digests ?? null) !== null) return;
    const begun: Contents = { version: 1, identity: identityOf(held), digests: null };
    write(path, begun);
    void turns
      .run(async () => {
        if (!readIfThere(path)) return;
        const digests = await contentDigests(image, PAUSE_MS).catch(warn(record, environment));
        // The device may be gone, and its files with it.
        if (digests && !image.closed().aborted && readIfThere(path))
          write(path, { ...begun, digests });
      })
      .catch(warn(record, environment));
  } catch (error) {
    warn(record, environment)(error);
  }
}

/**
 * Checks that the archives of a device are what they were: the very same files, or files with the same bytes.
 * @throws OverlaybdError BAD_FORMAT if that is not so, or cannot be told; and what reading throws
 */
export async function checkContents(
  { id }: DeviceRecord,
  held: HeldImage,
  { records }: ContentsEnvironment,
): Promise<void> {
  const files = plainContents(held.image.disk);
  if (files.length === 0) return;
  const path = records.contentsPath(id);
  const kept = readIfThere(path);
  const identity = identityOf(held);
  if (kept?.identity === identity) return;
  const names = files.map(({ name }) => name).join(', ');
  if (!kept?.digests) {
    const what = kept ? 'other files than before' : 'they may be other files than before';
    const why = kept
      ? 'the digests of the former were not computed yet'
      : `${path}, which has their digests, is missing`;
    throw misfit(`${names}: ${what}, and ${why}`);
  }
  const last = refused.get(path);
  if (last?.identity === identity) throw last.error;
  const got = await contentDigests(held.image, 0);
  if (!got) throw new OverlaybdError('BUSY', `${names}: the image was closed`);
  const wrong = files.findIndex((_, i) => got[i] !== kept.digests?.[i]);
  if (wrong >= 0 || got.length !== kept.digests.length) {
    const name = files[wrong]?.name ?? names;
    const had = kept.digests[wrong] ?? 'none';
    const error = misfit(
      `${name}: another file with the digest sha256:${got[wrong] ?? 'none'}, and it was sha256:${had}`,
    );
    refused.set(path, { identity, error });
    throw error;
  }
  refused.delete(path);
  write(path, { version: 1, identity, digests: got });
}

function misfit(text: string): OverlaybdError {
  return new OverlaybdError('BAD_FORMAT', text);
}

function identityOf({ image }: HeldImage): string {
  return createHash('sha256').update(image.marks.identity).digest('hex');
}

/** @throws OverlaybdError if it is not of its form; errors of the system */
function readIfThere(path: string): Contents | null {
  try {
    return parseWith(contentsSchema, readStateFile(path, MAX_FILE_BYTES), path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

function write(path: string, contents: Contents): void {
  replaceStateFile(path, `${JSON.stringify(contents)}\n`);
}

function warn({ index }: DeviceRecord, { log }: ContentsEnvironment): (error: unknown) => null {
  return (error) => {
    const then = 'a later daemon cannot tell copies of its layers from other files';
    log.log(
      'warn',
      `${devicePath(index)}: the digests of its layers are not kept: ${messageOf(error)}; ${then}`,
    );
    return null;
  };
}
