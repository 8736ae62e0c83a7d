// The records of attached devices in the state folder, by which a later daemon finds the devices again.
// The daemon syncs a record to disk before it connects the device. The backend name in the kernel proves
// which device belongs to a record.

import { existsSync, opendirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import * as v from 'valibot';
import { besideSchema } from '../config/beside-schema.js';
import { parseWith } from '../config/parse.js';
import { OverlaybdError, messageOf } from '../errors.js';
import { devicePath } from '../kernel/device-path.js';
import { sourceOfWords, wordsOf } from '../image/plan/image-source.js';
import { deviceIndex, deviceSettings } from '../kernel/device-settings.js';
import { backendName, type DeviceOwner } from '../kernel/sysfs.js';
import { someOf, strictObject, stringOf, wholeNumber } from '../lib/schema.js';
import { readStateFile, replaceStateFile, syncFolder } from './state-file.js';

/** Bytes of a record: room for the longest paths that a control request can carry. */
const MAX_RECORD_LENGTH = 2 << 20;
/** Records that are read from a state folder, and files whose names are looked at. */
export const MAX_RECORDS = 1024;
const MAX_FILES = 65_536;
/** Files with other names do not count against {@link MAX_RECORDS}. */
const RECORD_NAME = /^([0-9a-f]{16})\.json$/;
/** What metadata-file.ts and contents.ts write beside a record; `.new` was left by a daemon that was killed. */
const BESIDE_NAME = /^([0-9a-f]{16})\.(?:metadata|contents)(\.new)?$/;
/** Characters of a message about a bad file, whose content can make the message long. */
const MAX_PROBLEM_LENGTH = 500;

const recordSchema = strictObject({
  version: v.literal(1),
  id: stringOf('16 hexadecimal digits', /^[0-9a-f]{16}$/),
  /** The number in /dev/nbdX. */
  index: deviceIndex,
  export: v.nullable(v.string()),
  /** The blobs of the image, as they were given; files have absolute paths. */
  image: v.pipe(
    someOf(v.string()),
    v.transform((words) => sourceOfWords(words).blobs),
  ),
  /** Files beside its layers, and choices among its layers. */
  beside: v.optional(v.nullable(besideSchema), null),
  /** Number of the partition of the image that the device is; null for the whole image. */
  partition: v.optional(v.nullable(wholeNumber(1)), null),
  /** image/stack/fingerprint.ts: an image that has changed must not be served on the device. */
  fingerprint: v.string(),
  /** Of an image of files: SHA-256 of the metadata that were made of its layers. What is mounted must not get others. */
  metadata: v.optional(v.nullable(v.string()), null),
  /**
   * The SOCI index that the image was opened with, as `--soci-index` has it: another one may be pushed later. "none": there
   * was none. Null: that does not matter.
   */
  sociIndex: v.optional(v.nullable(v.string()), null),
  size: wholeNumber(0),
  since: v.string(),
  ...deviceSettings,
  /** `size` is a multiple of this; null stands for the block size. */
  sizeMultiple: v.optional(v.nullable(wholeNumber(1)), null),
  /** For kernels that keep no backend name: the process that connected the device. */
  kernelPid: v.nullable(wholeNumber(1)),
  /** The boot to which `kernelPid` belongs: after a reboot, the number means another process. */
  boot: v.optional(v.nullable(v.string()), null),
  /** The user of the daemon that attached it, as in the backend name; null if the name has no user. */
  user: v.optional(v.nullable(wholeNumber(0)), null),
  /** Whether the kernel disconnects the device when its last user closes it. */
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

/** The id of the current boot; '' if there is no /proc. */
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

  /** Writes a record. After a crash, the file has either this record or the previous one, complete. */
  write(record: DeviceRecord): void {
    const path = this.#path(record.id);
    const { beside, metadata, sociIndex, ...others } = record;
    // Left out where there are none: versions that do not know them can read the record.
    const written = {
      ...others,
      image: wordsOf(record.image),
      ...(metadata !== null && { metadata }),
      ...(sociIndex !== null && { sociIndex }),
      ...(beside && { beside }),
    };
    const text = `${JSON.stringify(written, null, 2)}\n`;
    if (Buffer.byteLength(text) > MAX_RECORD_LENGTH) {
      const message = `${devicePath(record.index)}: its record has ${text.length} characters, at most ${MAX_RECORD_LENGTH}; use shorter paths or a configuration`;
      throw new OverlaybdError('LIMIT', message);
    }
    replaceStateFile(path, text);
  }

  remove(id: string): void {
    rmSync(this.#path(id), { force: true });
    rmSync(this.metadataPath(id), { force: true });
    rmSync(this.contentsPath(id), { force: true });
    syncFolder(this.#folder);
  }

  /** The file of metadata-file.ts that belongs to a record. */
  metadataPath(id: string): string {
    return join(this.#folder, `${id}.metadata`);
  }

  /** The file of contents.ts that belongs to a record. */
  contentsPath(id: string): string {
    return join(this.#folder, `${id}.contents`);
  }

  /** Removes files of metadata and contents whose records are gone: of devices that a daemon was killed attaching or detaching. */
  removeStrays(): void {
    const folder = opendirSync(this.#folder);
    try {
      for (let left = MAX_FILES, entry = folder.readSync(); entry; entry = folder.readSync()) {
        if (left-- === 0) return;
        const match = BESIDE_NAME.exec(entry.name);
        if (!match) continue;
        const [, id = '', unfinished] = match;
        if (unfinished === undefined && existsSync(this.#path(id))) continue;
        rmSync(join(this.#folder, entry.name), { force: true });
      }
    } finally {
      folder.closeSync();
    }
  }

  /** @param problem called for each file that is not a record; it stays in the folder */
  read(problem: (message: string) => void): DeviceRecord[] {
    return this.#ids(problem).flatMap((id) => {
      const path = this.#path(id);
      try {
        const record = parseRecord(readStateFile(path, MAX_RECORD_LENGTH), path);
        if (record.id === id) return record;
        throw new OverlaybdError('BAD_CONFIG', `${path}: its id is ${record.id}`);
      } catch (error) {
        const why = messageOf(error).slice(0, MAX_PROBLEM_LENGTH);
        problem(`${path}: not a device's record, left alone: ${why}`);
        return [];
      }
    });
  }

  /** The ids in the names of record files, sorted, at most {@link MAX_RECORDS}. */
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
          problem(`${join(this.#folder, entry.name)}: not the name of a record, left alone`);
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
}
