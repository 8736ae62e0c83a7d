// Addresses of hosts: one question at a time for a name, an answer kept for some seconds, and the last good one while
// the name server fails. getaddrinfo has no time limit, and the threads that wait in it are those of all file work.

import { lookup as systemLookup, type LookupAddress, type LookupOptions } from 'node:dns';
import type { LookupFunction } from 'node:net';
import { Gate } from '../../lib/gate.js';
import { Lru } from './lru.js';

/** Of libuv's four threads. */
const QUESTIONS_AT_ONCE = 2;
/** A question that takes longer leaves its place to others. */
const PATIENCE_MS = 5000;
const KEPT_MS = 10_000;
const MAX_NAMES = 1024;

interface Entry {
  addresses: LookupAddress[] | null;
  at: number;
  flight: Promise<LookupAddress[]> | null;
}

export type ResolveName = (hostname: string) => Promise<LookupAddress[]>;

export const askSystem: ResolveName = (hostname) => {
  return new Promise((resolve, reject) => {
    systemLookup(hostname, { all: true, verbatim: true }, (error, addresses) => {
      if (error) reject(error);
      else resolve(addresses);
    });
  });
};

/** For the option `lookup` of sockets. */
export function cachedLookup(now: () => number, ask: ResolveName): LookupFunction {
  const entries = new Lru<string, Entry>(MAX_NAMES);
  const gate = new Gate(QUESTIONS_AT_ONCE, PATIENCE_MS);
  const addressesOf = async (hostname: string): Promise<LookupAddress[]> => {
    let entry = entries.get(hostname);
    if (!entry) entries.set(hostname, (entry = { addresses: null, at: -Infinity, flight: null }));
    const known = entry;
    if (known.addresses && now() - known.at < KEPT_MS) return known.addresses;
    known.flight ??= gate
      .run(() => ask(hostname))
      .then((addresses) => {
        known.addresses = addresses;
        known.at = now();
        return addresses;
      })
      .finally(() => {
        known.flight = null;
      });
    try {
      return await known.flight;
    } catch (error) {
      if (known.addresses) return known.addresses;
      throw error;
    }
  };
  const answer = async (
    hostname: string,
    { family, all }: LookupOptions,
    callback: Parameters<LookupFunction>[2],
  ): Promise<void> => {
    try {
      const addresses = await addressesOf(hostname);
      const isWanted = (each: LookupAddress): boolean =>
        (family !== 4 && family !== 6) || each.family === family;
      const usable = addresses.filter(isWanted);
      const [first] = usable;
      if (!first)
        throw Object.assign(new Error(`no address of ${hostname}`), { code: 'ENOTFOUND' });
      // An error in the callback is the socket's, not ours.
      if (all === true) setImmediate(callback, null, usable);
      else setImmediate(callback, null, first.address, first.family);
    } catch (error) {
      setImmediate(callback, error as Error, '');
    }
  };
  return (hostname, options, callback) => void answer(hostname, options, callback);
}
