// Damaged documents of images that other tools have made, if the fixtures are there.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { parseManifest } from '../../../daemon/registry/manifest.js';
import { diffIdsOf } from '../../../daemon/registry/ordinary-image.js';
import { findLazyFixtures } from '../../support/lazy-fixtures.js';
import { changedJson, jsonChanges } from './json-changes.js';
import { mustEnd } from './must-end.js';

/** Bytes of a blob that may be a document. */
const MAX_DOCUMENT = 16_384;
const LAYOUT_BLOBS = 'f01-oci-targz-umoci/image/blobs/sha256';

/** By their places in the fixtures. */
const DOCUMENTS: Readonly<Record<string, unknown>> = documentsOf(findLazyFixtures());

function documentsOf(root: string | null): Record<string, unknown> {
  if (root === null) return {};
  const blobs = readdirSync(join(root, LAYOUT_BLOBS)).map((name) => join(LAYOUT_BLOBS, name));
  const all = ['f01-oci-targz-umoci/image/index.json', 'f20-soci/index.v1.json'];
  const found: Record<string, unknown> = {};
  for (const name of [...all, 'f20-soci/index.v2.json', ...blobs]) {
    const bytes = readFileSync(join(root, name));
    const isJson = bytes.length <= MAX_DOCUMENT && bytes[0] === '{'.charCodeAt(0);
    if (isJson) found[name] = JSON.parse(bytes.toString());
  }
  return found;
}

const names = Object.keys(DOCUMENTS);
export const haveDocuments = names.length > 0;
export const hostileDocument = fc.record({
  name: fc.constantFrom(...(haveDocuments ? names : [''])),
  changes: jsonChanges,
});
export type HostileDocument = typeof hostileDocument extends fc.Arbitrary<infer T> ? T : never;

/** @returns what came out */
export function documentMustBeHandled({ name, changes }: HostileDocument): Promise<string> {
  const document = DOCUMENTS[name] as Record<string, unknown>;
  const text = Buffer.from(changedJson(document, changes));
  return mustEnd(() =>
    'rootfs' in document
      ? diffIdsOf(text, 4, { image: 'image' })
      : parseManifest(text, '', 'image'),
  );
}
