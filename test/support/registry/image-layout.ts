// A folder in OCI's layout: images are written to it, and the fault front serves what is in it.
import { mkdirSync, readFileSync, readdirSync, statSync, existsSync, writeFileSync } from 'node:fs';
import { copyFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, encodeJson, sha256, type ImagePlace } from './image-place.js';
import { OCI, type Descriptor } from './media-types.js';

/** The annotation of index.json by which a manifest has a tag. */
const REF_NAME = 'org.opencontainers.image.ref.name';
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const MAX_MANIFEST = 4 << 20;

export interface StoredManifest {
  readonly bytes: Buffer;
  readonly mediaType: string;
  readonly digest: string;
}

export class ImageLayout implements ImagePlace {
  readonly folder: string;

  /** Makes the layout if the folder has none. */
  constructor(folder: string) {
    this.folder = folder;
    mkdirSync(join(folder, 'blobs', 'sha256'), { recursive: true });
    writeFileSync(join(folder, 'oci-layout'), encodeJson({ imageLayoutVersion: '1.0.0' }));
    if (!existsSync(this.#index)) this.#write([]);
  }

  putBytes(bytes: Uint8Array): Promise<void> {
    writeFileSync(this.#path(sha256(bytes)), bytes);
    return Promise.resolve();
  }

  putFile(path: string, digest: string): Promise<void> {
    return copyFile(path, this.#path(digest));
  }

  async putManifest(bytes: Uint8Array, mediaType: string, tag: string | null): Promise<void> {
    await this.putBytes(bytes);
    if (tag === null) return;
    const others = this.#tagged().filter((each) => each.annotations?.[REF_NAME] !== tag);
    this.#write([...others, { ...describe(mediaType, bytes), annotations: { [REF_NAME]: tag } }]);
  }

  /** @returns null if there is no such blob */
  blob(digest: string): { path: string; size: number } | null {
    if (!DIGEST.test(digest)) return null;
    const path = this.#path(digest);
    return existsSync(path) ? { path, size: statSync(path).size } : null;
  }

  /** @param reference a tag or a digest. @returns null if there is no such manifest */
  manifest(reference: string): StoredManifest | null {
    const digest = DIGEST.test(reference)
      ? reference
      : this.#tagged().find((each) => each.annotations?.[REF_NAME] === reference)?.digest;
    return digest === undefined ? null : this.#parsed(digest);
  }

  tags(): string[] {
    return this.#tagged().flatMap((each) => each.annotations?.[REF_NAME] ?? []);
  }

  /** What the referrers API lists: every manifest whose subject this is. */
  referrers(digest: string): Descriptor[] {
    const found: Descriptor[] = [];
    for (const name of readdirSync(join(this.folder, 'blobs', 'sha256'))) {
      const manifest = this.#parsed(`sha256:${name}`);
      if (manifest === null) continue;
      const { subject, artifactType, config, annotations } = JSON.parse(
        manifest.bytes.toString(),
      ) as {
        subject?: Descriptor;
        artifactType?: string;
        config?: Descriptor;
        annotations?: Record<string, string>;
      };
      if (subject?.digest !== digest) continue;
      const kind = artifactType ?? config?.mediaType;
      found.push({
        ...describe(manifest.mediaType, manifest.bytes),
        ...(kind !== undefined && { artifactType: kind }),
        ...(annotations && { annotations }),
      });
    }
    return found.toSorted((a, b) => (a.digest < b.digest ? -1 : 1));
  }

  /** @returns null if the blob is not there, or not a manifest or index */
  #parsed(digest: string): StoredManifest | null {
    const blob = this.blob(digest);
    if (blob === null || blob.size > MAX_MANIFEST) return null;
    const bytes = readFileSync(blob.path);
    if (bytes[0] !== 0x7b) return null;
    const { mediaType, manifests, layers } = JSON.parse(bytes.toString()) as {
      mediaType?: string;
      manifests?: unknown;
      layers?: unknown;
    };
    if (manifests === undefined && layers === undefined) return null;
    return { bytes, mediaType: mediaType ?? (manifests ? OCI.index : OCI.manifest), digest };
  }

  get #index(): string {
    return join(this.folder, 'index.json');
  }

  #path(digest: string): string {
    return join(this.folder, 'blobs', ...digest.split(':'));
  }

  #tagged(): Descriptor[] {
    return (JSON.parse(readFileSync(this.#index, 'utf8')) as { manifests: Descriptor[] }).manifests;
  }

  #write(manifests: readonly Descriptor[]): void {
    writeFileSync(this.#index, encodeJson({ schemaVersion: 2, mediaType: OCI.index, manifests }));
  }
}
