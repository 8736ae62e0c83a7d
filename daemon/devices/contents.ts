// What the layers of an attached device were that are files of this machine: kept beside its record, and compared if they are other
// files when a daemon finds the device again. Somebody may have copied them, or changed them.

import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { parseWith } from '../config/parse.js';
import { OverlaybdError, messageOf } from '../errors.js';
import type { HeldImage } from '../image/open-images.js';
import { contentDigests, plainContents, plainIdentities } from '../image/plain-contents.js';
import { contentMarks } from '../image/recorded-tree.js';
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
  /** SHA-256 of each plain one, in the order of the disk; null: they are still being computed. */
  digests: v.nullable(v.array(digest)),
  /** SHA-256 of the digests in the tables of compressed ones, in the order of the disk. Older daemons did not keep it. */
  tables: v.optional(digest),
});

type Contents = v.InferOutput<typeof contentsSchema>;

/** Archives that are other files, by the path of what is kept: they are not read again at each attempt to find the device. */
const refused = new Map<string, { readonly identity: string; readonly error: OverlaybdError }>();

/** One device at a time reads its archives. */
const turns = new Turns();

/**
 * Notes which files the layers of a device are, and has the digests of plain ones computed in the background.
 * The device is served all the same if that fails.
 * @returns once a change of these files would be noticed; never rejects
 */
export async function keepContents(
  record: DeviceRecord,
  held: HeldImage,
  environment: ContentsEnvironment,
): Promise<void> {
  const { image } = held;
  const isPlain = plainContents(image.disk).length > 0;
  const tables = tablesOf(held);
  if (!isPlain && tables === undefined) return;
  const path = environment.records.contentsPath(record.id);
  try {
    const kept = readIfThere(path);
    const digests = kept?.digests ?? (isPlain ? null : []);
    if (kept?.digests && kept.tables === tables) return;
    const begun: Contents = { version: 1, identity: identityOf(held), digests, tables };
    write(path, begun);
    if (digests) return;
    const was = await plainIdentities(image);
    void turns
      .run(async () => {
        if (!readIfThere(path)) return;
        const computed = await contentDigests(image, PAUSE_MS);
        if (!computed) return;
        const is = await plainIdentities(image);
        if (was === null || is === null) return;
        if (was !== is) throw new OverlaybdError('BAD_FORMAT', 'a file changed while it was read');
        // The device may be gone, and its files with it.
        if (readIfThere(path)) write(path, { ...begun, digests: computed });
      })
      .catch(warn(record, environment));
  } catch (error) {
    warn(record, environment)(error);
  }
}

/**
 * Checks that the layers of a device are what they were: the very same files, or files with the same bytes. Of compressed layers
 * the digests of their pieces are compared: reads are checked against them.
 * @throws OverlaybdError BAD_FORMAT if that is not so, or cannot be told; and what reading throws
 */
export async function checkContents(
  { id }: DeviceRecord,
  held: HeldImage,
  { records }: ContentsEnvironment,
): Promise<void> {
  const files = plainContents(held.image.disk);
  const tables = tablesOf(held);
  if (files.length === 0 && tables === undefined) return;
  const path = records.contentsPath(id);
  const kept = readIfThere(path);
  const identity = identityOf(held);
  if (kept?.identity === identity) return;
  if (kept?.tables !== undefined && kept.tables !== tables) {
    throw misfit('its layers are other files, with other digests of their pieces');
  }
  if (files.length === 0) {
    if (kept) write(path, { version: 1, identity, digests: [], tables });
    return;
  }
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
  write(path, { version: 1, identity, digests: got, tables });
}

function misfit(text: string): OverlaybdError {
  return new OverlaybdError('BAD_FORMAT', text);
}

/** @returns undefined if no layer has such a table */
function tablesOf({ image }: HeldImage): string | undefined {
  const marks = contentMarks(image.disk);
  if (marks.every((each) => each === '')) return undefined;
  return createHash('sha256').update(marks.join(' ')).digest('hex');
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
