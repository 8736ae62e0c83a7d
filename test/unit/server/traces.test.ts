// Traces of exports, with a fetcher in memory: recorded at the end, replayed at the start, and never in the way.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import type { FetchClient } from '../../../daemon/fetch/client.js';
import { MAX_TRACE_BYTES } from '../../../daemon/fetch/limits.js';
import { formatTrace, type TraceEntry } from '../../../daemon/fetch/trace-file.js';
import type { SourceSpec } from '../../../daemon/image/disks/spec.js';
import type { TracedDisk } from '../../../daemon/server/image-traces.js';
import { Traces } from '../../../daemon/server/traces.js';

const DIGEST = `sha256:${'a'.repeat(64)}`;
const ENTRIES: TraceEntry[] = [{ digest: DIGEST, first: 2, last: 5 }];
const REMOTE = imageOf({
  kind: 'cached',
  name: 'x',
  digest: DIGEST,
  size: 1,
  blob: 7,
  fd: 1,
  slotsFd: 1,
  state: new SharedArrayBuffer(0),
});
const LOCAL = imageOf({ kind: 'file', name: 'x', fd: 1, base: 0, size: 1 });

function imageOf(source: SourceSpec): TracedDisk {
  return { disk: { kind: 'raw', source }, closed: () => new AbortController().signal };
}

interface Asked {
  readonly do: string;
}

function fakeClient(asked: Asked[], answers: Readonly<Record<string, unknown>>): () => FetchClient {
  const trace = (command: Asked): Promise<unknown> => {
    asked.push(command);
    return Promise.resolve(answers[command.do]);
  };
  return () => ({ trace }) as unknown as FetchClient;
}

await test('what was used is written when the daemon ends', async (t) => {
  const asked: Asked[] = [];
  const lines: string[] = [];
  const record = join(t.testdir(), 'trace');
  const log = { log: (_level: string, text: string) => void lines.push(text) };
  const traces = new Traces({ record, replay: null }, fakeClient(asked, { stop: ENTRIES }), log);
  await traces.start([LOCAL, REMOTE, REMOTE]);
  t.same(asked, [{ do: 'record', blobs: [7] }]);
  await traces.stop();
  t.equal(readFileSync(record, 'utf8'), formatTrace(ENTRIES));
  t.same(lines, [`trace: ${record}: 1 entry`]);
  await traces.stop();
  t.equal(asked.length, 2, 'once');
});

await test('a trace is replayed, and a wrong one is one line in the log', async (t) => {
  const asked: Asked[] = [];
  const replay = join(t.testdir(), 'trace');
  writeFileSync(replay, formatTrace(ENTRIES));
  const said = async (path: string): Promise<string> =>
    new Promise((resolve) => {
      const log = { log: (level: string, text: string) => resolve(`${level}: ${text}`) };
      const client = fakeClient(asked, { replay: 4 });
      void new Traces({ record: null, replay: path }, client, log).start([REMOTE]);
    });
  t.equal(await said(replay), `info: trace: ${replay}: 4 chunks of it are in the cache`);
  t.same(asked, [{ do: 'replay', entries: ENTRIES }]);
  writeFileSync(replay, 'overlaybd-nbd trace 2\n');
  t.match(await said(replay), /^warn: trace: .*: not replayed: .*line 1/);
  writeFileSync(replay, Buffer.alloc(MAX_TRACE_BYTES + 1));
  const long = `a file of ${MAX_TRACE_BYTES + 1} bytes, at most ${MAX_TRACE_BYTES}`;
  t.match(await said(replay), long, 'it is not read');
});

await test('without a remote blob nothing is asked', async (t) => {
  const asked: Asked[] = [];
  const options = { record: join(t.testdir(), 'trace'), replay: '/nowhere' };
  const traces = new Traces(options, fakeClient(asked, {}), { log: () => undefined });
  await traces.start([LOCAL]);
  await traces.stop();
  t.same(asked, []);
});
