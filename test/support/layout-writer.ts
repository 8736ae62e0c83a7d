// Writes OCI layouts for tests, from bytes that are there; knows no format of layers.
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { descriptor, encode, imageIndex, OCI_LAYER, sha256, type Json } from './memory-registry.js';

export class LayoutWriter {
  readonly folder: string;
  readonly entries: Json[] = [];

  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(join(folder, 'blobs/sha256'), { recursive: true });
    writeFileSync(join(folder, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
    this.writeIndex();
  }

  pathOf(digest: string): string {
    return join(this.folder, 'blobs', ...digest.split(':'));
  }

  /** @returns the descriptor of an overlaybd layer */
  blob(bytes: Uint8Array, keys: Json | null = {}, mediaType = OCI_LAYER): Json {
    writeFileSync(this.pathOf(sha256(bytes)), bytes);
    const plain = descriptor(mediaType, bytes);
    if (keys === null) return plain;
    const all = { 'blob-digest': plain['digest'], 'blob-size': String(bytes.length), ...keys };
    const annotations = Object.fromEntries(
      Object.entries(all).map(([key, value]) => [`containerd.io/snapshot/overlaybd/${key}`, value]),
    );
    return { ...plain, annotations };
  }

  /** @param tag null: not in index.json; '': there, without a tag */
  manifest(manifest: Json, tag: string | null, more: Json = {}): Json {
    const bytes = encode(manifest);
    writeFileSync(this.pathOf(sha256(bytes)), bytes);
    const plain = descriptor(String(manifest['mediaType']), bytes, more);
    if (tag === null) return plain;
    const annotations = tag === '' ? {} : { 'org.opencontainers.image.ref.name': tag };
    this.entries.push({ ...plain, annotations });
    this.writeIndex();
    return plain;
  }

  writeIndex(): void {
    writeFileSync(join(this.folder, 'index.json'), encode(imageIndex(this.entries)));
  }
}
