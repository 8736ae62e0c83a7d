// Random layers of files: merged, written as EROFS, read back through the merged disk by the independent reader, and
// compared with a plain model of what layers mean.
import * as fc from 'fast-check';
import { isDeepStrictEqual } from 'node:util';
import tap, { test } from 'tap';
import { writeErofs } from '../../daemon/erofs/write.js';
import { OverlaybdError } from '../../daemon/errors.js';
import type { EntryDraft } from '../../daemon/tree/builder.js';
import { mergeLayers } from '../../daemon/tree/merge.js';
import { arbitraryLayers, SOURCE_SIZE } from '../support/arbitrary-trees.js';
import { deviceOf } from '../support/erofs/device.js';
import { readErofs, type ErofsEntry } from '../support/erofs/reader.js';
import { usualOrLong } from '../support/long-tests.js';
import { randomBytes } from '../support/pattern.js';
import { SEED } from '../support/seed.js';
import {
  isDirectory,
  modelOf,
  Refused,
  withoutRefused,
  type ModelNode,
  type ModelTree,
} from '../support/tree-model.js';
import { treeOf } from '../support/trees.js';

// Random cases: on a busy machine tap's 30 seconds a file are too short.
tap.setTimeout(900_000);

const RUNS = usualOrLong(1600, 4000);
/** Two for each of up to four layers. */
const SOURCES = Array.from({ length: 8 }, (_, i) => randomBytes(i, SOURCE_SIZE));

/** The lines of a tree; null if it is refused. */
function written(layers: readonly EntryDraft[][]): { lines: unknown[]; dropped: number } | null {
  try {
    const trees = layers.map((layer, i) => treeOf(layer, `layer ${i}`));
    const tree = mergeLayers(trees);
    const sources = trees.flatMap(({ sourceCount }, i) =>
      SOURCES.slice(2 * i, 2 * i + sourceCount),
    );
    const device = writeErofs(tree, { uuidSeed: [] });
    const { entries } = readErofs(deviceOf(device, sources), device.deviceSize);
    return { lines: readLines(entries), dropped: device.dropped.count };
  } catch (error) {
    if (error instanceof OverlaybdError && error.code === 'BAD_FORMAT') return null;
    throw error;
  }
}

function readLines(entries: readonly ErofsEntry[]): unknown[] {
  const first = new Map<number, string>();
  return entries.map(({ path, inode }) => {
    const { nid, read, ...rest } = inode;
    const known = first.get(nid) ?? path;
    first.set(nid, known);
    return {
      ...rest,
      xattrs: { ...rest.xattrs },
      path,
      first: known,
      bytes: read?.().toString('latin1'),
    };
  });
}

function expected(layers: readonly EntryDraft[][]): { lines: unknown[]; dropped: number } | null {
  try {
    const tree = modelOf(layers);
    const first = new Map<ModelNode, string>();
    const lines: unknown[] = [];
    let dropped = 0;
    for (const path of walk(tree)) {
      const node = tree.get(path) as ModelNode;
      const { line, lost } = modelLine(tree, node, path);
      if (!first.has(node)) {
        first.set(node, path);
        dropped += lost;
      }
      lines.push({ ...line, path, first: first.get(node) });
    }
    return { lines, dropped };
  } catch (error) {
    if (error instanceof Refused) return null;
    throw error;
  }
}

/** Paths in the order of a walk: by the bytes of the names of each directory. */
function walk(tree: ModelTree): string[] {
  const keys = [...tree.keys()].map((path) => ({
    path,
    names: path === '' ? [] : path.split('/'),
  }));
  return keys
    .toSorted((a, b) => {
      for (let i = 0; ; i++) {
        const [x, y] = [a.names[i], b.names[i]];
        if (x === undefined || y === undefined) return a.names.length - b.names.length;
        if (x !== y) return Buffer.compare(Buffer.from(x, 'latin1'), Buffer.from(y, 'latin1'));
      }
    })
    .map(({ path }) => path);
}

function modelLine(tree: ModelTree, node: ModelNode, path: string): { line: object; lost: number } {
  const { entry, layer } = node;
  const type = entry?.type ?? 'dir';
  const { kept, lost } = storable(entry?.xattrs ?? new Map<string, Uint8Array>());
  const bytes = entry && type === 'reg' ? contentsOf(entry, layer) : null;
  const size = bytes?.length ?? entry?.target?.length ?? 0;
  const line = {
    type,
    mode: type === 'symlink' ? 0o777 : (entry?.mode ?? 0o755),
    uid: entry?.uid ?? 0,
    gid: entry?.gid ?? 0,
    mtime: entry?.mtime ?? 0,
    mtimeNs: entry?.mtimeNs ?? 0,
    nlink: isDirectory(node) ? 2 + below(tree, path) : names(tree, node),
    size: type === 'dir' ? null : size,
    rdev: entry?.rdev ? [entry.rdev.major, entry.rdev.minor] : null,
    target: type === 'symlink' ? entry?.target : null,
    xattrs: kept,
    bytes: bytes?.toString('latin1'),
  };
  return { line, lost };
}

const names = (tree: ModelTree, node: ModelNode): number =>
  [...tree.values()].filter((each) => each === node).length;

const below = (tree: ModelTree, path: string): number =>
  [...tree].filter(
    ([each, node]) =>
      isDirectory(node) &&
      each !== '' &&
      (each.includes('/') ? each.slice(0, each.lastIndexOf('/')) : '') === path,
  ).length;

function storable(xattrs: ReadonlyMap<string, Uint8Array>): {
  kept: Record<string, string>;
  lost: number;
} {
  const kept: Record<string, string> = {};
  let lost = 0;
  for (const [name, value] of xattrs) {
    const isKnown = /^(user\.|security\.|trusted\.(?!overlay\.)|system\.posix_acl_)/.test(name);
    // The only lists in the cases that are not broken are longer than these.
    const isBroken = name.startsWith('system.') && value.length < 4;
    if (isKnown && !isBroken) kept[name] = Buffer.from(value).toString('latin1');
    else lost++;
  }
  return { kept, lost };
}

function contentsOf({ size = 0, data = [] }: EntryDraft, layer: number): Buffer {
  const bytes = Buffer.alloc(size);
  for (const { fileOffset, length, source, offset } of data) {
    SOURCES[2 * layer + source]?.copy(bytes, fileOffset, offset, offset + length);
  }
  return bytes;
}

await test('any layers become the tree that the model says', (t) => {
  let refused = 0;
  let entries = 0;
  fc.assert(
    fc.property(arbitraryLayers(), fc.nat(9), (any, luck) => {
      // Few random layers have a meaning as they are.
      const layers = luck === 0 ? any : withoutRefused(any);
      const want = expected(layers);
      const got = written(layers);
      if (want === null || got === null) {
        if (want !== got) throw new Error(want === null ? 'not refused' : 'refused');
        refused++;
        return;
      }
      // The size of a directory is the business of the format.
      for (const line of got.lines as { type: string; size: number | null }[]) {
        if (line.type === 'dir') line.size = null;
      }
      if (!isDeepStrictEqual(got.lines, want.lines)) {
        throw new Error(`${JSON.stringify(got.lines)} is not ${JSON.stringify(want.lines)}`);
      }
      if (got.dropped !== want.dropped) throw new Error(`${got.dropped} not ${want.dropped}`);
      entries += want.lines.length;
    }),
    { numRuns: RUNS, seed: SEED },
  );
  t.comment(`${RUNS} stacks: ${refused} refused, ${entries} entries in the others`);
  t.ok(refused < RUNS / 5, 'most stacks have a meaning');
  t.ok(entries > 5 * RUNS, 'the trees are not trivial');
  t.end();
});
