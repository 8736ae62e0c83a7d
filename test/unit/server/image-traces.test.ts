// Traces of images, with a fetcher in memory: what is asked, and what the log says.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import type { BlobRef } from '../../../daemon/blob/blob-ref.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import type { FetchClient } from '../../../daemon/fetch/client.js';
import { MAX_TRACE_BYTES, MAX_TRACE_PREFETCH_BYTES } from '../../../daemon/fetch/limits.js';
import type { DiskSpec } from '../../../daemon/image/disks/spec.js';
import { replayImage } from '../../../daemon/server/image-traces.js';
import { writeUpstreamTrace } from '../../support/upstream-trace.js';

const DISK = {
  kind: 'raw',
  source: { kind: 'cached', name: 'x', digest: 'D', size: 1 << 20, blob: 7, fd: 1, slotsFd: 1 },
} as unknown as DiskSpec;
const closed = (): AbortSignal => new AbortController().signal;
const LAYER: BlobRef = {
  kind: 'registry',
  host: 'registry.example',
  repository: 'app',
  digest: `sha256:${'a'.repeat(64)}`,
  size: 2048,
};
const TRACE = writeUpstreamTrace([
  { layer: 0, offset: 0, count: 1 },
  { layer: 1, offset: 0, count: 1 },
]);

/** @param load what fetching the layer gives; an error is thrown */
async function replayed(trace: BlobRef, load: Uint8Array | Error, disk = DISK) {
  const asked: unknown[] = [];
  const lines: string[] = [];
  const client = {
    trace: (command: { do: string }) => {
      asked.push(command);
      if (command.do === 'replay') return Promise.resolve(1);
      return load instanceof Error ? Promise.reject(load) : Promise.resolve(load);
    },
  } as unknown as FetchClient;
  const log = { log: (level: string, text: string) => void lines.push(`${level}: ${text}`) };
  await replayImage({ name: 'app', trace, disk, closed }, client, log);
  return { asked, lines };
}

const REPLAY = { do: 'replay', entries: [{ digest: 'D', first: 0, last: 0 }] };

await t.test('of a registry', async (test) => {
  const { asked, lines } = await replayed(LAYER, TRACE);
  test.same(asked, [{ do: 'load', layer: LAYER }, REPLAY]);
  test.same(lines, [
    'info: trace of app: 1 chunk of it are in the cache; 1 read of other layers left out',
  ]);
});

await t.test('of a file', async (test) => {
  const path = join(test.testdir(), 'trace');
  writeFileSync(path, TRACE);
  const { asked } = await replayed({ kind: 'file', path }, TRACE);
  test.same(asked, [REPLAY]);
});

await t.test('what is wrong is one line, and an end of the daemon is none', async (test) => {
  const damaged = Buffer.from(TRACE);
  damaged.writeUInt8(1, 47);
  for (const [load, line] of [
    [damaged, /^warn: trace of app: not replayed: .*sha256:aaa.* trace header at byte 16/],
    [new OverlaybdError('REMOTE', 'no answer'), /^warn: trace of app: not replayed: no answer$/],
    [new Uint8Array(0), /^info: trace of app: empty$/],
  ] as const) {
    const { lines } = await replayed(LAYER, load);
    test.equal(lines.length, 1);
    test.match(lines[0], line);
  }
  test.same((await replayed(LAYER, new OverlaybdError('BUSY', 'stopping'))).lines, []);
});

await t.test('a file that is too long is not read', async (test) => {
  const path = join(test.testdir(), 'trace');
  writeFileSync(path, Buffer.alloc(MAX_TRACE_BYTES + 1));
  const { lines } = await replayed({ kind: 'file', path }, TRACE);
  test.match(lines, [`a file of ${MAX_TRACE_BYTES + 1} bytes, at most ${MAX_TRACE_BYTES}`]);
  writeFileSync(path, Buffer.alloc(MAX_TRACE_BYTES));
  test.notMatch((await replayed({ kind: 'file', path }, TRACE)).lines, 'at most');
});

await t.test('a trace fetches a GiB at most', async (test) => {
  const size = 2 * MAX_TRACE_PREFETCH_BYTES;
  const disk = {
    kind: 'raw',
    source: { kind: 'cached', name: 'x', digest: 'D', size, blob: 7, fd: 1, slotsFd: 1 },
  } as unknown as DiskSpec;
  const mib = 1 << 20;
  const reads = Array.from({ length: size / mib }, (_, i) => {
    return { layer: 0, offset: i * mib, count: mib };
  });
  const { asked } = await replayed(LAYER, writeUpstreamTrace(reads), disk);
  test.match(asked[1], {
    entries: [{ digest: 'D', first: 0, last: MAX_TRACE_PREFETCH_BYTES / 65_536 - 1 }],
  });
});
