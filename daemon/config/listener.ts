// A listener of the configuration: its address, its users and its exports. Pure: names of users and groups
// stay names (listen/accounts.ts looks them up).

import * as v from 'valibot';
import { messageOf } from '../errors.js';
import { parseListenAddress, type ListenAddress } from './listen-address.js';
import { stringOf, strictObject, wholeNumber } from '../lib/schema.js';

/** A user or a group, by number or by name. */
export type Account = number | string;

/** A listener with all defaults applied. */
export interface ListenerSpec {
  readonly address: ListenAddress;
  /** Names of the visible exports; null for all. */
  readonly exports: readonly string[] | null;
  /** Users who may connect to a Unix socket; null for all that its mode allows. */
  readonly users: readonly Account[] | null;
  /** Of the file of a Unix socket. Undefined values stay as the system sets them. */
  readonly mode: number | undefined;
  readonly owner: Account | undefined;
  readonly group: Account | undefined;
  /** null for the default of listen/limits.ts. */
  readonly maxConnectionsPerPeer: number | null;
}

/** uid_t without the number that means none. */
const MAX_ACCOUNT = 0xffff_fffe;
const MODE = /^0?[0-7]{3}$/;

const addressSchema = v.pipe(
  v.string(),
  v.rawCheck(({ dataset, addIssue }) => {
    if (!dataset.typed) return;
    try {
      parseListenAddress(dataset.value);
    } catch (error) {
      addIssue({ message: messageOf(error) });
    }
  }),
);

/** Lazy, because the error of a union would not say what is wrong with a number. */
const accountSchema = v.lazy((input) =>
  typeof input === 'number'
    ? wholeNumber(0, MAX_ACCOUNT)
    : stringOf('the name or the number of an account', /^[^]/),
);

const modeSchema = stringOf('a string of octal digits like "0660"', MODE);

/** Keys that apply only to Unix sockets that the daemon creates. */
const FILE_KEYS = ['mode', 'owner', 'group'] as const;

const listenerObjectSchema = v.pipe(
  strictObject({
    address: addressSchema,
    exports: v.optional(v.array(v.string())),
    users: v.optional(v.array(accountSchema)),
    mode: v.optional(modeSchema),
    owner: v.optional(accountSchema),
    group: v.optional(accountSchema),
    maxConnectionsPerPeer: v.optional(wholeNumber(1)),
  }),
  v.rawCheck(({ dataset, addIssue }) => {
    // If the address is wrong, do not check the rest.
    if (!dataset.typed || dataset.issues) return;
    const listener = dataset.value;
    const { kind } = parseListenAddress(listener.address);
    const misplaced = (key: string, where: string): void => {
      const path = { type: 'object', origin: 'value', input: listener, key, value: null } as const;
      addIssue({ message: `only for ${where}, not for ${listener.address}`, path: [path] });
    };
    for (const key of FILE_KEYS) {
      if (listener[key] !== undefined && kind !== 'unix') misplaced(key, 'unix:// addresses');
    }
    if (listener.users && kind !== 'unix' && kind !== 'fd') misplaced('users', 'Unix sockets');
  }),
);

/** An address, or an object with the address. Lazy, because the error of a union would not name a wrong key. */
export const listenerSchema = v.lazy((input) =>
  typeof input === 'object' && input !== null && !Array.isArray(input)
    ? listenerObjectSchema
    : typeof input === 'string'
      ? addressSchema
      : stringOf('an address, or an object with an address', /^[^]*$/),
);

export type ListenerConfig = string | v.InferOutput<typeof listenerObjectSchema>;

/** Applies the defaults. @throws OverlaybdError BAD_CONFIG */
export function listenerSpec(config: ListenerConfig): ListenerSpec {
  const given = typeof config === 'string' ? { address: config } : config;
  return {
    address: parseListenAddress(given.address),
    exports: given.exports ?? null,
    users: given.users ?? null,
    mode: given.mode === undefined ? undefined : parseMode(given.mode),
    owner: given.owner,
    group: given.group,
    maxConnectionsPerPeer: given.maxConnectionsPerPeer ?? null,
  };
}

/** @returns undefined if it is not three octal digits, with or without a leading zero */
export function parseMode(text: string): number | undefined {
  return MODE.test(text) ? Number.parseInt(text, 8) : undefined;
}

/** A text of digits is a number. */
export function parseAccount(text: string): Account {
  return /^\d+$/.test(text) ? Number(text) : text;
}
