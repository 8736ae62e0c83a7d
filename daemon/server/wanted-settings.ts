// Compares the settings of registries that a request names with those of the daemon: they hold for all of its images,
// so a request cannot change them, and is refused if it wants others.

import { isDeepStrictEqual } from 'node:util';
import { REGISTRY_KEYS, type RegistrySettings } from '../config/registry-settings.js';
import { OverlaybdError } from '../errors.js';

/** Values of these settings are lists. A request may name some of the daemon's items. */
const LISTS = ['plainHttp', 'mirrors'] as const;

/** @throws OverlaybdError BAD_ARGUMENT with the keys of daemon.json that differ */
export function checkWanted(
  wanted: Readonly<Partial<Record<keyof RegistrySettings, unknown>>>,
  own: RegistrySettings,
): void {
  const keys = (Object.keys(wanted) as (keyof RegistrySettings)[]).filter(
    (key) => !isDeepStrictEqual(wanted[key], own[key]) && !isPartOf(wanted[key], itemsOf(key, own)),
  );
  if (keys.length === 0) return;
  const names = keys.map((key) => REGISTRY_KEYS[key]).join(', ');
  const message = `the running daemon has other settings of registries: ${names}. Set them in its daemon.json, or leave the options out`;
  throw new OverlaybdError('BAD_ARGUMENT', message);
}

function itemsOf(key: keyof RegistrySettings, own: RegistrySettings): readonly unknown[] {
  const list = LISTS.find((each) => each === key);
  return list === undefined ? [] : own[list];
}

function isPartOf(wanted: unknown, items: readonly unknown[]): boolean {
  if (!Array.isArray(wanted)) return false;
  return wanted.every((each) => items.some((item) => isDeepStrictEqual(each, item)));
}
