// containers' registries.conf, version 2: mirrors of registries and of parts of them, other places, what is blocked
// (containers-registries.conf(5)). Pure.

import { isTable, parseToml, textOr } from './toml.js';
import { withoutEndSlashes } from '../../lib/without-end-slashes.js';

export interface RegistryPlace {
  /** "host:port/path", which takes the place of the prefix. */
  readonly location: string;
  readonly isInsecure: boolean;
}

export interface RegistryMirror extends RegistryPlace {
  readonly forTags: boolean;
  readonly forDigests: boolean;
}

export interface RegistryRule extends RegistryPlace {
  /** "host:port/path", or "*.domain". */
  readonly prefix: string;
  readonly isBlocked: boolean;
  readonly mirrors: readonly RegistryMirror[];
}

const MAX_RULES = 4096;
const MAX_MIRRORS = 64;

/** @throws TypeError */
export function parseRegistriesConf(text: string): RegistryRule[] {
  const tables = tablesOf(parseToml(text)['registry']);
  if (tables.length > MAX_RULES) throw new TypeError(`more than ${MAX_RULES} registries`);
  return tables.flatMap((table) => {
    const location = withoutEndSlashes(textOr(table['location'], ''));
    const prefix = withoutEndSlashes(textOr(table['prefix'], location));
    if (prefix === '') return [];
    const isDigestOnly = table['mirror-by-digest-only'] === true;
    const mirrors = tablesOf(table['mirror']).slice(0, MAX_MIRRORS);
    return [
      {
        prefix,
        location,
        isInsecure: table['insecure'] === true,
        isBlocked: table['blocked'] === true,
        mirrors: mirrors.flatMap((mirror) => mirrorOf(mirror, isDigestOnly)),
      },
    ];
  });
}

function mirrorOf(
  table: Readonly<Record<string, unknown>>,
  isDigestOnly: boolean,
): RegistryMirror[] {
  const location = withoutEndSlashes(textOr(table['location'], ''));
  if (location === '') return [];
  const from = textOr(table['pull-from-mirror'], isDigestOnly ? 'digest-only' : 'all');
  return [
    {
      location,
      isInsecure: table['insecure'] === true,
      forTags: from !== 'digest-only',
      forDigests: from !== 'tag-only',
    },
  ];
}

function tablesOf(value: unknown): Readonly<Record<string, unknown>>[] {
  return Array.isArray(value) ? (value as unknown[]).filter(isTable) : [];
}

export interface FoundRule {
  readonly rule: RegistryRule;
  /** What the prefix leaves of the name: "/app", or "". */
  readonly rest: string;
}

/** The rule with the longest prefix. @param name "host:port/repository" */
export function ruleFor(rules: readonly RegistryRule[], name: string): FoundRule | null {
  let best: FoundRule | null = null;
  for (const rule of rules) {
    const length = lengthOfMatch(rule.prefix, name);
    if (length === 0) continue;
    // A later rule of the same prefix takes the place of an earlier one.
    if (best && rule.prefix.length < best.rule.prefix.length) continue;
    best = { rule, rest: name.slice(length) };
  }
  return best;
}

/** Characters of the name that the prefix stands for; 0: none. */
function lengthOfMatch(prefix: string, name: string): number {
  if (prefix.startsWith('*.')) {
    const slash = name.indexOf('/');
    const host = slash < 0 ? name : name.slice(0, slash);
    return host.endsWith(prefix.slice(1)) ? host.length : 0;
  }
  const isMatch = name === prefix || name.startsWith(`${prefix}/`);
  return isMatch ? prefix.length : 0;
}
