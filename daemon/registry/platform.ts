// Platforms of images: their names, that of this machine, and the choice among the entries of an index.

import { closeSync, openSync, readSync } from 'node:fs';
import { amd64Level, ARCHITECTURE } from '../lib/architectures.js';
import { aboutOf, errorOf, type About } from '../lib/fault.js';
import { printable, quoted, shortened } from '../lib/printable.js';
import { OVERLAYBD_ARTIFACTS, REFERENCE_TYPE, SOCI_ARTIFACTS } from './media-types.js';
import type { Descriptor, Platform } from './manifest.js';

/** Platforms that a message lists. */
const MAX_LISTED = 20;
const MAX_SHOWN_LENGTH = 100;
/** More than the distance of any older variant. */
const NEWER = 1e9;

/** Other names of architectures, and the variant that a name implies. */
const ALIASES: Readonly<Record<string, readonly [string, string]>> = {
  x86_64: ['amd64', ''],
  'x86-64': ['amd64', ''],
  i386: ['386', ''],
  aarch64: ['arm64', ''],
  armhf: ['arm', 'v7'],
  armel: ['arm', 'v6'],
};
/** Variants that an architecture has when it names none. */
const DEFAULT_VARIANT: Readonly<Record<string, string>> = { amd64: 'v1', arm64: 'v8', arm: 'v7' };
/** By process.arch. */
const OF_NODE: Readonly<Record<string, string>> = {
  x64: 'amd64',
  ia32: '386',
  ppc64: 'ppc64le',
  mipsel: 'mipsle',
};

export interface WantedPlatform extends Platform {
  /** The newest variant that the machine runs, if its platform does not name it: 3 for v3. Asked only if needed. */
  readonly newest?: () => number;
}

/** @param text null: that of this machine. @throws OverlaybdError BAD_ARGUMENT */
export function platformOf(text: string | null): WantedPlatform {
  return text === null ? thisPlatform() : parsePlatform(text);
}

/** @internal for its unit test */
export function thisPlatform(): WantedPlatform {
  const architecture = OF_NODE[process.arch] ?? process.arch;
  const own = { os: 'linux', architecture, variant: '' };
  return architecture === 'amd64' ? { ...own, newest: ownLevel } : own;
}

/** Bytes of /proc/cpuinfo that have the first processor. */
const CPUINFO_SIZE = 16 * 1024;

function ownLevel(): number {
  try {
    const fd = openSync('/proc/cpuinfo', 'r');
    try {
      const bytes = Buffer.alloc(CPUINFO_SIZE);
      return amd64Level(bytes.toString('latin1', 0, readSync(fd, bytes)));
    } finally {
      closeSync(fd);
    }
  } catch {
    // Without /proc, every such processor still has the first one.
    return 1;
  }
}

/**
 * Parses "OS/ARCHITECTURE[/VARIANT]"; without OS, it is linux.
 * @internal for its unit test
 * @throws OverlaybdError BAD_ARGUMENT
 */
export function parsePlatform(text: string): Platform {
  const [first = ''] = text.split('/');
  const full = ARCHITECTURE.test(first) ? `linux/${text}` : text;
  const match = /^([\w.-]+)\/([\w.-]+)(?:\/([\w.-]+))?$/.exec(full.toLowerCase());
  if (!match || text.length > MAX_SHOWN_LENGTH) {
    const got = quoted(shortened(text, MAX_SHOWN_LENGTH));
    const expected = 'OS/ARCHITECTURE[/VARIANT], as linux/arm64/v8';
    throw errorOf('BAD_ARGUMENT', { expected, got }, `${got} is not a platform: ${expected}`);
  }
  const [, os = '', architecture = '', variant = ''] = match;
  return { os, architecture, variant };
}

/** With the usual name of the architecture, and its variant in full: linux/arm64 is linux/arm64/v8. */
function normalised({ os, architecture, variant }: Platform): Platform {
  const [name, implied] = ALIASES[architecture.toLowerCase()] ?? [architecture.toLowerCase(), ''];
  const named = variant.toLowerCase().replace(/^(?=\d)/, 'v');
  return {
    os: os.toLowerCase(),
    architecture: name,
    variant: named || implied || (DEFAULT_VARIANT[name] ?? ''),
  };
}

/**
 * "linux/arm64", "linux/arm/v7": without the variant that every such machine has.
 * @internal for its unit test
 */
export function platformText(platform: Platform): string {
  const { os, architecture, variant } = normalised(platform);
  const rest = variant === '' || variant === impliedVariant(architecture) ? '' : `/${variant}`;
  return printable(`${os}/${architecture}${rest}`);
}

function impliedVariant(architecture: string): string | undefined {
  return architecture === 'arm' ? undefined : DEFAULT_VARIANT[architecture];
}

/**
 * How well a machine of platform `want` runs an image for `have`: 0 is the same platform, more is an older
 * variant, which runs as well, and then a newer one that this machine has; null: not at all.
 */
function distance(want: WantedPlatform, have: Platform): number | null {
  const [a, b] = [normalised(want), normalised(have)];
  if (a.os !== b.os || a.architecture !== b.architecture) return null;
  if (a.variant === b.variant) return 0;
  const level = variantNumber(b.variant);
  const steps = variantNumber(a.variant) - level;
  if (steps >= 0) return steps + 0.5;
  return level <= (want.newest?.() ?? 0) ? NEWER + level : null;
}

function variantNumber(variant: string): number {
  return Number(/^v(\d+)/.exec(variant)?.[1]);
}

/** Whether an entry of an index is an image or an index of images: no attestation, no signature, no SOCI index. */
export function isImageEntry({ annotations, platform, artifactType }: Descriptor): boolean {
  if (annotations.has(REFERENCE_TYPE)) return false;
  if (artifactType !== null && SOCI_ARTIFACTS.includes(artifactType)) return false;
  return !(platform?.os === 'unknown' && platform.architecture === 'unknown');
}

/**
 * The entry of an index for a platform: the nearest variant; of several the overlaybd one, and then the first.
 * An entry without a platform is taken if it is the only one.
 * @param name of the index, for messages
 * @throws OverlaybdError NOT_FOUND that lists the platforms that there are
 */
export function chooseEntry(
  entries: readonly Descriptor[],
  platform: WantedPlatform,
  name: About,
): Descriptor {
  const images = entries.filter(isImageEntry);
  const ranked = images
    .flatMap((entry) => {
      const far = entry.platform && distance(platform, entry.platform);
      return far === null ? [] : [{ entry, far }];
    })
    .toSorted((a, b) => a.far - b.far || preference(a.entry) - preference(b.entry));
  if (ranked[0]) return ranked[0].entry;
  const unnamed = images.filter((entry) => entry.platform === null);
  const [only] = unnamed;
  if (only && unnamed.length === 1) return only;
  const expected = platformText(platform);
  const facts = { ...aboutOf(name), expected };
  throw errorOf('NOT_FOUND', facts, `no image for ${expected}; ${listed(images)}`);
}

function preference({ artifactType, platform }: Descriptor): number {
  if (artifactType !== null && OVERLAYBD_ARTIFACTS.includes(artifactType)) return 0;
  // Features of the system say that an entry is for another snapshotter.
  return platform?.hasFeatures === true ? 2 : 1;
}

function listed(images: readonly Descriptor[]): string {
  const names = images.map(({ platform }) => (platform ? platformText(platform) : 'not named'));
  const distinct = [...new Set(names)];
  if (distinct.length === 0) return 'the index has no images';
  const more = distinct.length - MAX_LISTED;
  const rest = more > 0 ? ` and ${more} more` : '';
  return `its platforms: ${distinct.slice(0, MAX_LISTED).join(', ')}${rest} (see --platform)`;
}
