// The file with what a device was made of: what was written is read, and damage of any kind is an error.
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import {
  MAX_RECORDED_BYTES,
  readMetadataFile,
  writeMetadataFile,
} from '../../../daemon/devices/metadata-file.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import type { RecordedTree } from '../../../daemon/image/recorded-tree.js';

function treeOf(bytes: number, count: number): RecordedTree {
  const metadata = new SharedArrayBuffer(bytes);
  const own = new Uint8Array(metadata);
  for (let i = 0; i < own.length; i += 7) own[i] = i;
  return {
    identity: 'ab'.repeat(32),
    sources: [
      { size: 5, places: '', content: 'ef'.repeat(32) },
      { size: 2 ** 50, places: 'cd'.repeat(32), content: '' },
    ],
    deviceSize: 2 ** 52,
    rows: {
      count,
      sectors: Float64Array.from({ length: count }, (_, i) => i * 2 ** 40),
      lengths: Float64Array.from({ length: count }, (_, i) => i + 1),
      sources: Uint8Array.from({ length: count }, (_, i) => i),
      moffsets: Float64Array.from({ length: count }, (_, i) => 2 ** 43 - i),
    },
    metadata,
  };
}

const digestOf = ({ metadata }: RecordedTree): string =>
  createHash('sha256').update(new Uint8Array(metadata)).digest('hex');

await test('what was written is read', async (t) => {
  const folder = t.testdir();
  const path = join(folder, 'x.metadata');
  for (const [bytes, count] of [
    [4096, 1],
    [0, 0],
    [(3 << 20) + 4096, 100],
  ] as const) {
    const tree = treeOf(bytes, count);
    await writeMetadataFile(path, tree);
    t.same(await readMetadataFile(path, digestOf(tree)), tree);
  }
  t.ok(statSync(path).size < 1 << 20, 'it is deflated');
  t.same(readdirSync(folder), ['x.metadata']);
});

await test('what is too long is not written', async (t) => {
  const path = join(t.testdir(), 'x.metadata');
  await t.rejects(writeMetadataFile(path, treeOf(MAX_RECORDED_BYTES, 1)), { code: 'LIMIT' });
  t.notOk(existsSync(path));
});

await test('a file that is missing, cut or damaged anywhere is refused', async (t) => {
  const path = join(t.testdir(), 'x.metadata');
  const tree = treeOf(4096, 2);
  const digest = digestOf(tree);
  await t.rejects(readMetadataFile(path, digest), { code: 'NOT_FOUND', message: /x\.metadata/ });
  await writeMetadataFile(path, tree);
  const whole = readFileSync(path);
  const refused = async (bytes: Buffer, what: string): Promise<void> => {
    writeFileSync(path, bytes);
    const error = await readMetadataFile(path, digest).catch((thrown: unknown) => thrown);
    if (!(error instanceof OverlaybdError) || !error.message.includes('x.metadata')) {
      t.fail(`${what}: ${String(error)}`);
    }
  };
  for (let at = 0; at < whole.length; at++) {
    const damaged = Buffer.from(whole);
    damaged[at] = (whole[at] as number) ^ (1 << (at % 8));
    await refused(damaged, `byte ${at}`);
    if (at % 16 === 0) await refused(whole.subarray(0, at), `${at} bytes`);
  }
  await refused(Buffer.concat([whole, Buffer.from([0])]), 'a byte more');
  writeFileSync(path, whole);
  await t.rejects(readMetadataFile(path, 'ef'.repeat(32)), {
    code: 'BAD_CHECKSUM',
    message: /expected metadata with the digest sha256:efef.*, got sha256:/,
  });
  t.same(await readMetadataFile(path, digest), tree);
});

await test('a file whose header promises more or fewer bytes than it has is refused', async (t) => {
  const path = join(t.testdir(), 'x.metadata');
  const tree = treeOf(4096, 2);
  const digest = digestOf(tree);
  await writeMetadataFile(path, tree);
  const whole = readFileSync(path);
  for (const [rows, message] of [
    [1, /cannot be inflated: more than 4121 bytes/],
    [3, /cannot be inflated: expected 4171 bytes, got 4146/],
  ] as const) {
    const text = whole.toString('latin1', 0, whole.length - 32);
    const body = Buffer.from(text.replace('"rows":2', `"rows":${rows}`), 'latin1');
    writeFileSync(path, Buffer.concat([body, createHash('sha256').update(body).digest()]));
    await t.rejects(readMetadataFile(path, digest), { code: 'BAD_FORMAT', message });
  }
});
