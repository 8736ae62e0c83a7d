// What is kept of an attached device in the state folder, so that a successor finds it again: the
// record, its check, and its files. A record is on disk before the kernel is told, and its backend
// name in the kernel proves that a device is the one it speaks of.

import {
  closeSync,
  constants,
  fsyncSync,
  openSync,
  readFileSync,
  opendirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { parseWith } from '../config/parse.js';
import { OverlaybdError, messageOf } from '../errors.js';
import { sourceOfWords, wordsOf } from '../image/image-source.js';
import { deviceIndex, deviceSettings } from '../kernel/device-settings.js';
import { backendName, type DeviceOwner } from '../kernel/sysfs.js';
import { someOf, strictObject, stringOf, wholeNumber } from '../lib/schema.js';
import { openStateFile, readStateFile } from './state-file.js';

/** Of a record: an image of 255 layers whose paths have all the length that a control request takes. */
const MAX_RECORD_LENGTH = 2 << 20;
/** Records of a state folder that are read, and files there whose names are looked at. */
export const MAX_RECORDS = 1024;
const MAX_FILES = 65_536;
/** By its id: what has another name does not take the place of one. */
const RECORD_NAME = /^([0-9a-f]{16})\.json$/;
/** Of a problem with a file, which its content can make long. */
const MAX_PROBLEM_LENGTH = 500;

const recordSchema = strictObject({
  version: v.literal(1),
  id: stringOf('16 hexadecimal digits', /^[0-9a-f]{16}$/),
  /** The number in /dev/nbdX. */
  index: deviceIndex,
  export: v.nullable(v.string()),
  /** What makes the image, as it was given: files by their absolute paths. */
  image: v.pipe(
    someOf(v.string()),
    v.transform((words) => sourceOfWords(words).blobs),
  ),
  /** The partition of it that the device is; null is all of it. */
  partition: v.optional(v.nullable(wholeNumber(1)), null),
  /** image/fingerprint.ts: another image under the same name must not get the device. */
  fingerprint: v.string(),
  size: wholeNumber(0),
  since: v.string(),
  ...deviceSettings,
  /** `size` is a multiple of it; null: of the block size. */
  sizeMultiple: v.optional(v.nullable(wholeNumber(1)), null),
  /** For kernels that keep no backend name: who connected the device. */
  kernelPid: v.nullable(wholeNumber(1)),
  /** Of which start of the system that is: afterwards the number is another process's. */
  boot: v.optional(v.nullable(v.string()), null),
  /** As whom the daemon ran that attached it; part of its name in the kernel. Null: not part of it. */
  user: v.optional(v.nullable(wholeNumber(0)), null),
  /** The kernel was told to let go of the device when its last user closes it. */
  onClose: v.optional(v.boolean(), false),
});

export type DeviceRecord = Readonly<v.InferOutput<typeof recordSchema>>;

/** @param name the file, for messages. @throws OverlaybdError BAD_CONFIG. @internal for its unit test */
export function parseRecord(json: string, name: string): DeviceRecord {
  return parseWith(recordSchema, json, name);
}

export function backendOf({ id, user }: Pick<DeviceRecord, 'id' | 'user'>): string {
  return backendName(id, user);
}

export function ownerOf(record: DeviceRecord): DeviceOwner {
  const kernelPid = record.boot === bootId() ? record.kernelPid : null;
  return { backend: backendOf(record), kernelPid };
}

/** Names this run of the system; '' where there is no /proc. */
export function bootId(): string {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return '';
  }
}

/** The records of a state folder. */
export class DeviceRecords {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** Crash-safe: whoever reads sees this record or the one before, whole. */
  write(record: DeviceRecord): void {
    const path = this.#path(record.id);
    const text = JSON.stringify({ ...record, image: wordsOf(record.image) }, null, 2) + '\n';
    if (Buffer.byteLength(text) > MAX_RECORD_LENGTH) {
      const message = `/dev/nbd${record.index}: its record has ${text.length} characters, more than can be kept; use shorter paths or a configuration`;
      throw new OverlaybdError('LIMIT', message);
    }
    // What a daemon that died has left there.
    rmSync(`${path}.new`, { force: true });
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
    const fd = openStateFile(`${path}.new`, flags);
    try {
      writeFileSync(fd, text);
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(`${path}.new`, path);
    this.#sync();
  }

  remove(id: string): void {
    rmSync(this.#path(id), { force: true });
    this.#sync();
  }

  /** @param problem told of files that are no records; they stay where they are */
  read(problem: (message: string) => void): DeviceRecord[] {
    return this.#ids(problem).flatMap((id) => {
      const path = this.#path(id);
      try {
        const record = parseRecord(readStateFile(path, MAX_RECORD_LENGTH), path);
        if (record.id === id) return record;
        throw new OverlaybdError('BAD_CONFIG', `${path}: the record of another id, ${record.id}`);
      } catch (error) {
        const why = messageOf(error).slice(0, MAX_PROBLEM_LENGTH);
        problem(`${path}: not a device's record, left alone: ${why}`);
        return [];
      }
    });
  }

  /** Ids of records, sorted: those that their names tell, and no more than there may be. */
  #ids(problem: (message: string) => void): string[] {
    const ids: string[] = [];
    const folder = opendirSync(this.#folder);
    try {
      for (let left = MAX_FILES, entry = folder.readSync(); entry; entry = folder.readSync()) {
        const id = RECORD_NAME.exec(entry.name)?.[1];
        const isFull = left-- === 0 || (id !== undefined && ids.length === MAX_RECORDS);
        if (isFull) {
          problem(`${this.#folder}: too many files; no more than ${MAX_RECORDS} records are read`);
          break;
        }
        if (id !== undefined) ids.push(id);
        else if (entry.name.endsWith('.json')) {
          problem(`${join(this.#folder, entry.name)}: not named as a device's record, left alone`);
        }
      }
    } finally {
      folder.closeSync();
    }
    return ids.toSorted();
  }

  #path(id: string): string {
    return join(this.#folder, `${id}.json`);
  }

  #sync(): void {
    const fd = openSync(this.#folder, 'r');
    try {
      fsyncSync(fd);
    } finally {
      closeSync(fd);
    }
  }
}
