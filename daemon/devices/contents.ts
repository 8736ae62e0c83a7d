// Which files an attached device was made of: a digest of their bytes is kept beside its record. If a daemon that finds the device
// again finds other files, it compares the digests: the files may have been copied, or changed.

import { createHash } from 'node:crypto';
import * as v from 'valibot';
import { parseWith } from '../config/parse.js';
import { OverlaybdError, codeOf, factsOf, fullStory } from '../errors.js';
import type { HeldImage } from '../image/open-images.js';
import { fileDigests } from '../image/stack/unverified-files.js';
import { devicePath } from '../kernel/device-path.js';
import { jsonObject, stringOf } from '../lib/schema.js';
import { Turns } from '../lib/turns.js';
import type { DeviceEnvironment } from './environment.js';
import { Misfit } from './misfit.js';
import type { DeviceRecord } from './record.js';
import { readStateFile, replaceStateFile } from './state-file.js';

type ContentsEnvironment = Pick<DeviceEnvironment, 'records' | 'log'>;
type Image = HeldImage['image'];

/** Bytes: 255 layers, as many ztocs and devices, 70 each. */
const MAX_FILE_BYTES = 64 << 10;
/** Between two steps of 1 MiB in the background: some 150 MB/s at most. */
const PAUSE_MS = 5;
const digest = stringOf('64 hexadecimal digits', /^[0-9a-f]{64}$/);

const contentsSchema = v.pipe(
  jsonObject,
  v.object({
    /** No release wrote version 1. */
    version: v.literal(2),
    /** A hash of what the system says about the files: device, inode and time of the last change of their bytes. */
    identity: digest,
    /** SHA-256 of each of them, in the order of the plan; null: they are still being computed. */
    digests: v.nullable(v.array(digest)),
  }),
);

type Contents = v.InferOutput<typeof contentsSchema>;

/** Files that were refused, by the path of the digests: they are not read again at each attempt to find the device. */
const refused = new Map<string, { readonly identity: string; readonly error: OverlaybdError }>();

/** One device at a time reads its files. */
const turns = new Turns();

/** Several devices may have the same image. */
const known = new WeakMap<Image, readonly string[]>();

/**
 * Keeps what the files of a device are, and has their digests computed in the background. The device is served all the same if
 * that fails: it never throws.
 * @param checked what {@link checkContents} returned; null: nothing
 */
export function keepContents(
  record: DeviceRecord,
  { image }: HeldImage,
  environment: ContentsEnvironment,
  checked: readonly string[] | null = null,
): void {
  if (image.unverified.length === 0) return;
  const path = environment.records.contentsPath(record.id);
  const identity = identityOf(image);
  const keep = (digests: readonly string[] | null): void =>
    replaceStateFile(path, `${JSON.stringify({ version: 2, identity, digests })}\n`);
  const warn = (error: unknown): void => {
    const then = 'a later daemon cannot tell copies of its layers from other files';
    const where = devicePath(record.index);
    const text = `${where}: the digests of its layers are not kept: ${fullStory(error)}; ${then}`;
    environment.log.log('warn', text, { device: where, code: codeOf(error), ...factsOf(error) });
  };
  try {
    const kept = readIfThere(path);
    if (checked) keep(checked);
    if (checked || kept?.digests) return;
    if (!kept) keep(null);
  } catch (error) {
    warn(error);
    return;
  }
  const compute = async (): Promise<void> => {
    if (!readIfThere(path)) return;
    const digests = await digestsOf(image, PAUSE_MS);
    // The device may be gone, and its files with it.
    if (digests && readIfThere(path)) keep(digests);
  };
  void turns.run(compute).catch(warn);
}

/**
 * Checks that the files of a device are what they were: the very same files, or files with the same bytes. Keeps nothing.
 * @returns the digests of other files with the same bytes; null: they need not be read
 * @throws Misfit if they are others, or that cannot be told; and what reading throws
 */
export async function checkContents(
  { id }: DeviceRecord,
  { image }: HeldImage,
  { records }: ContentsEnvironment,
): Promise<readonly string[] | null> {
  const { unverified } = image;
  if (unverified.length === 0) return null;
  const path = records.contentsPath(id);
  const kept = readIfThere(path);
  const identity = identityOf(image);
  if (kept?.identity === identity) return null;
  const names = [...new Set(unverified.map(({ spec }) => spec.name))].join(', ');
  if (!kept?.digests) {
    const what = kept ? 'other files than before' : 'they may be other files than before';
    const why = kept
      ? 'the digests of the former were not computed yet'
      : `${path}, which has their digests, is missing`;
    throw new Misfit(`${names}: ${what}, and ${why}`);
  }
  const last = refused.get(path);
  if (last?.identity === identity) throw last.error;
  const got = await digestsOf(image, 0);
  if (!got) throw new OverlaybdError('BUSY', `${names}: the image was closed`);
  const why = difference(kept.digests, got, image);
  if (why === null) {
    refused.delete(path);
    return got;
  }
  const error = new Misfit(why);
  refused.set(path, { identity, error });
  throw error;
}

/** @returns null: they are the same */
function difference(
  was: readonly string[],
  is: readonly string[],
  { unverified }: Image,
): string | null {
  if (was.length !== is.length) return `expected ${was.length} files, got ${is.length}`;
  const wrong = is.findIndex((each, i) => each !== was[i]);
  if (wrong < 0) return null;
  const name = unverified[wrong]?.spec.name;
  return `${name}: expected digest sha256:${was[wrong]}, got sha256:${is[wrong]}`;
}

async function digestsOf(image: Image, pauseMs: number): Promise<readonly string[] | null> {
  const found = known.get(image) ?? (await fileDigests(image, pauseMs));
  if (found) known.set(image, found);
  return found;
}

function identityOf({ unverified }: Image): string {
  const keys = unverified.map(({ key }) => key).join('\n');
  return createHash('sha256').update(keys).digest('hex');
}

/** @throws OverlaybdError if it is not of its form, or cannot be read */
function readIfThere(path: string): Contents | null {
  try {
    return parseWith(contentsSchema, readStateFile(path, MAX_FILE_BYTES), path);
  } catch (error) {
    if (codeOf(error) === 'NOT_FOUND') return null;
    throw error;
  }
}
