// The fixtures of images of layers of files that have an expected tree: how each is opened, and its tree.
import { join } from 'node:path';
import type { Beside } from '../../daemon/image/plan/image-source.js';
import type { TreeLine } from './erofs/tree-lines.js';
import { expectedTree } from './lazy-fixtures.js';

export interface FixtureImage {
  readonly name: string;
  /** The words of the command line, or of a request. */
  readonly image: readonly string[];
  readonly beside: Partial<Beside>;
  /** As a mounted file system shows it. */
  readonly lines: readonly TreeLine[];
  /** Whether the daemon writes its metadata: an EROFS on one device is served as it is. */
  readonly isWritten: boolean;
  /** What the tree does not say. */
  readonly hasLinks: boolean;
}

/** The files of an image: names below the folder of its fixture. Folders have names without a dot. */
export interface FixtureFiles {
  readonly fixture: string;
  readonly file: string;
  readonly tree?: string;
  /** Beside the first one. */
  readonly ztoc?: string;
  readonly tocBlob?: string;
  readonly objects?: string;
  readonly blobs?: string;
  readonly isWritten?: false;
  /** The fuzzer does without it: small ones have its form. */
  readonly isLarge?: true;
}

/** f52 needs a kernel from 6.4 on. */
export const FIXTURE_FILES: readonly FixtureFiles[] = [
  { fixture: 'f01-oci-targz-umoci', file: 'image' },
  { fixture: 'f03-tar-pax', file: 'layer.tar' },
  { fixture: 'f04-tar-gnu', file: 'layer.tar' },
  { fixture: 'f05-tar-sparse', file: 'sparse-0.0.tar' },
  { fixture: 'f05-tar-sparse', file: 'sparse-0.1.tar' },
  { fixture: 'f05-tar-sparse', file: 'sparse-1.0.tar' },
  { fixture: 'f05-tar-sparse', file: 'sparse-oldgnu.tar' },
  { fixture: 'f06-tar-bsdtar', file: 'layer.tar' },
  { fixture: 'f07-tar-ustar-v7', file: 'ustar.tar', tree: 'ustar.tree.jsonl' },
  { fixture: 'f07-tar-ustar-v7', file: 'v7.tar', tree: 'v7.tree.jsonl' },
  { fixture: 'f10-estargz', file: 'layer.tar.gz', isLarge: true },
  { fixture: 'f11-estargz-prefetch-chunk64k', file: 'layer.tar.gz' },
  {
    fixture: 'f13-estargz-external-toc',
    file: 'layer.tar.gz',
    tocBlob: 'layer.tar.gz.toc.tar.gz',
  },
  { fixture: 'f14-stargz-legacy', file: 'layer.tar.gz' },
  { fixture: 'f16-zstdchunked-stargz', file: 'layer.tar.zst' },
  { fixture: 'f18-zstdchunked-storage-new', file: 'layer.tar.zst' },
  { fixture: 'f20-soci', file: 'layer.tar.gz', ztoc: 'layer.ztoc' },
  { fixture: 'f22-soci-uncompressed', file: 'layer.tar', ztoc: 'layer.ztoc' },
  { fixture: 'f23-soci-zinfo-v1', file: 'layer.tar.gz', ztoc: 'layer.ztoc' },
  { fixture: 'f30-composefs-v0', file: 'image.cfs', objects: 'objects' },
  { fixture: 'f40-nydus-v6-zstd', file: 'image.boot', blobs: 'blobs' },
  { fixture: 'f50-erofs-plain', file: 'image.erofs', isWritten: false },
  { fixture: 'f51-erofs-chunked-2dev', file: 'meta.erofs', blobs: 'blob.dev' },
  { fixture: 'f53-erofs-lz4', file: 'image.erofs', isWritten: false },
  { fixture: 'f56-erofs-tar-i', file: 'meta.erofs', blobs: 'layer.tar' },
  { fixture: 'f60-tarfs-kata', file: 'layer.tarfs', tree: 'layer.tree.jsonl' },
  { fixture: 'f60-tarfs-kata', file: 'upper.tarfs', tree: 'upper.tree.jsonl' },
];

/** @param root the folder of the fixtures, or of a copy of it */
export function fixtureImages(root: string): FixtureImage[] {
  return FIXTURE_FILES.map((row) => {
    const { fixture, file, tree = 'expected.tree.jsonl', isWritten = true } = row;
    const pathOf = (name: string): string => join(root, fixture, name);
    const hasLinks = !file.endsWith('.tarfs');
    const lines = expectedTree(root, fixture, tree);
    return {
      name: `${fixture}: ${file}`,
      image: [file === 'image' ? `oci:${pathOf(file)}` : pathOf(file)],
      beside: besideOf(row, pathOf),
      lines: hasLinks ? lines : withoutLinks(lines),
      isWritten,
      hasLinks,
    };
  });
}

export function besideOf(
  { ztoc, tocBlob, objects, blobs }: FixtureFiles,
  pathOf: (name: string) => string,
): Partial<Beside> {
  return {
    ...(ztoc !== undefined && { ztocs: [pathOf(ztoc)] }),
    ...(tocBlob !== undefined && { tocBlob: pathOf(tocBlob) }),
    ...(objects !== undefined && { objects: pathOf(objects) }),
    ...(blobs !== undefined && { blobs: pathOf(blobs) }),
  };
}

/** The options of the command line for what is beside an image. */
export function besideOptions({ ztocs, tocBlob, objects, blobs }: Partial<Beside>): string[] {
  return [
    ...(ztocs ?? []).flatMap((path) => (path === null ? [] : ['--ztoc', path])),
    ...(typeof tocBlob === 'string' ? ['--toc-blob', tocBlob] : []),
    ...(objects === undefined ? [] : ['--objects', objects]),
    ...(blobs === undefined ? [] : ['--blobs', blobs]),
  ];
}

/** An index of tarfs does not count links, and its trees have another word for hard links. */
export function withoutLinks(lines: readonly TreeLine[]): TreeLine[] {
  return lines.map(({ same_inode_as: first, hardlink_of: known = first, ...line }) => ({
    ...line,
    nlink: 0,
    ...(known === undefined || known === line['path'] ? {} : { hardlink_of: known }),
  }));
}
