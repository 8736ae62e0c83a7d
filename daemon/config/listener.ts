// One listener of the configuration: where, and who may use it for what. Pure: names of users and
// groups stay names (listen/accounts.ts looks them up).

import * as v from 'valibot';
import { messageOf } from '../errors.js';
import { parseListenAddress, type ListenAddress } from './listen-address.js';
import { stringOf, strictObject, wholeNumber } from '../lib/schema.js';

/** A user or a group, by number or by name. */
export type Account = number | string;

/** A listener with everything decided. */
export interface ListenerSpec {
  readonly address: ListenAddress;
  /** Names of the exports that can be seen here; null is all of them. */
  readonly exports: readonly string[] | null;
  /** Who may connect to a Unix socket; null is whoever its mode lets in. */
  readonly users: readonly Account[] | null;
  /** Of the file of a Unix socket; what is undefined is left as the system makes it. */
  readonly mode: number | undefined;
  readonly owner: Account | undefined;
  readonly group: Account | undefined;
  /** null is the default of nbd/limits.ts. */
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

/** Lazy: a union would not say what is wrong with a number. */
const accountSchema = v.lazy((input) =>
  typeof input === 'number'
    ? wholeNumber(0, MAX_ACCOUNT)
    : stringOf('the name or the number of an account', /^[^]/),
);

const modeSchema = stringOf('a string of octal digits like "0660"', MODE);

/** Keys that mean something only where the address is a path that we make a socket at. */
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
    // With an address that is none there is nothing to say of the rest.
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

/** An address alone, or an object around it. Lazy: a union would tell nothing of a wrong key. */
export const listenerSchema = v.lazy((input) =>
  typeof input === 'object' && input !== null ? listenerObjectSchema : addressSchema,
);

export type ListenerConfig = string | v.InferOutput<typeof listenerObjectSchema>;

/** Everything that is not given gets its default. @throws OverlaybdError BAD_CONFIG */
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

/** @returns undefined when it is not three octal digits, maybe behind a zero */
export function parseMode(text: string): number | undefined {
  return MODE.test(text) ? Number.parseInt(text, 8) : undefined;
}

/** Digits are the number itself. */
export function parseAccount(text: string): Account {
  return /^\d+$/.test(text) ? Number(text) : text;
}
