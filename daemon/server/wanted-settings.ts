// Compares the settings of registries that a request names with those of the daemon: they hold for all of its images,
// so a request cannot change them, and is refused if it wants others.

import { isDeepStrictEqual } from 'node:util';
import { REGISTRY_KEYS, type RegistrySettings } from '../config/registry-settings.js';
import { OverlaybdError } from '../errors.js';

/** @throws OverlaybdError BAD_ARGUMENT with the keys of daemon.json that differ */
export function checkWanted(
  wanted: Readonly<Partial<Record<keyof RegistrySettings, unknown>>>,
  own: RegistrySettings,
): void {
  const keys = (Object.keys(wanted) as (keyof RegistrySettings)[]).filter(
    (key) => !isDeepStrictEqual(wanted[key], own[key]) && !isPartOf(wanted[key], own[key]),
  );
  if (keys.length === 0) return;
  const names = keys.map((key) => REGISTRY_KEYS[key]).join(', ');
  const message = `the running daemon has other settings of registries: ${names}. Set them in its daemon.json, or leave the options out`;
  throw new OverlaybdError('BAD_ARGUMENT', message);
}

/** Whether both are lists: a request may name some of the daemon's items. */
function isPartOf(wanted: unknown, own: unknown): boolean {
  if (!Array.isArray(wanted) || !Array.isArray(own)) return false;
  return wanted.every((each) => own.some((item) => isDeepStrictEqual(each, item)));
}
