// What an operator can do about a login that is missing or refused, with the places where logins were looked for. Pure.

import { printable } from '../../lib/printable.js';
import { canonicalName } from './names.js';

/** How a login was looked for. */
export interface LoginSearch {
  /** Files, helpers and services that were asked, in their order: "/root/.docker/config.json (no such file)". */
  readonly looked: readonly string[];
  /** Which of them had a login; null: none. */
  readonly found: string | null;
}

/** @param host of the registry, with its port. @param search null: none has ended */
export function loginAdvice(host: string, search: LoginSearch | null): string {
  const name = canonicalName(host);
  const todo = `run "docker login ${name}", or name a docker config.json with --registry-config FILE`;
  if (search === null) return todo;
  const { looked, found } = search;
  const why =
    found === null
      ? `no login for ${name} in ${looked.join(', ')}`
      : `the login for ${name} comes from ${found}: it may have expired, or may not read this repository`;
  const unknown = found === null ? ' (some registries answer so if there is no such image)' : '';
  return `${printable(why)}; ${todo}${unknown}`;
}
