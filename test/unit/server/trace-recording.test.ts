// A trace that is recorded on request: one at a time, of the exports that are remote. With a real fetcher:
// test/e2e/registry-control.test.ts.
import { test } from 'tap';
import { parseTrace, type TraceEntry } from '../../../daemon/fetch/trace-file.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import type { Daemon } from '../../../daemon/server/daemon.js';
import { TraceRecording } from '../../../daemon/server/trace-recording.js';

const ENTRIES: TraceEntry[] = [{ digest: `sha256:${'a'.repeat(64)}`, first: 2, last: 5 }];
const remote = (blob: number) => ({
  image: { disk: { kind: 'raw', source: { kind: 'cached', blob } } },
});
const local = { image: { disk: { kind: 'raw', source: { kind: 'file' } } } };

function start(answers: Record<string, unknown> = { stop: ENTRIES }, isTracing = false) {
  const asked: unknown[] = [];
  const exports = new Map<string, unknown>([
    ['web', remote(7)],
    ['db', remote(8)],
    ['disk', local],
  ]);
  const trace = async (command: { do: string }): Promise<unknown> => {
    asked.push(command);
    const answer = answers[command.do];
    if (answer instanceof Error) throw answer;
    return answer;
  };
  const sourceOf = (name: string): void => {
    if (!exports.has(name)) throw new OverlaybdError('NOT_FOUND', name);
  };
  const images = { exports, sourceOf };
  const daemon = { fetcher: { client: () => ({ trace }) }, images, isTracing };
  return { asked, recording: new TraceRecording(daemon as unknown as Daemon) };
}

await test('a trace is started, shown, and given when it is stopped', async (t) => {
  const { asked, recording } = start();
  t.same(recording.status(), { recording: null });
  const started = await recording.start({});
  t.match(started, { recording: { exports: ['web', 'db'], since: /^\d{4}-/ } });
  t.same(recording.status(), started);
  t.same(asked, [{ do: 'record', blobs: [7, 8] }]);
  await t.rejects(recording.start({}), { code: 'BUSY', message: /stop it first/ });
  const stopped = await recording.stop();
  t.match(stopped, { ...started.recording, entries: 1 });
  t.same(parseTrace(stopped.trace, 'trace'), ENTRIES);
  await t.rejects(recording.stop(), { code: 'NOT_FOUND' });
  t.match(await recording.start({ exports: ['db', 'disk'] }), { recording: { exports: ['db'] } });
});

await test('what cannot be recorded is refused', async (t) => {
  const { asked, recording } = start();
  await t.rejects(recording.start({ exports: ['none'] }), { code: 'NOT_FOUND' });
  await t.rejects(recording.start({ exports: ['disk'] }), { code: 'BAD_ARGUMENT' });
  t.same(asked, []);
  const busy = start({}, true);
  const message = /--record-trace/;
  await t.rejects(busy.recording.start({}), { code: 'BUSY', message }, 'it would end the other');
  const failing = start({ record: new OverlaybdError('IO', 'no answer') });
  await t.rejects(failing.recording.start({}), { code: 'IO' });
  t.same(failing.recording.status(), { recording: null });
});

await test('of two requests to stop, one gets the trace, and the other finds none', async (t) => {
  const { asked, recording } = start();
  await recording.start({});
  const [first, second] = await Promise.allSettled([recording.stop(), recording.stop()]);
  t.match(first, { status: 'fulfilled', value: { entries: 1 } });
  t.match(second, { status: 'rejected', reason: { code: 'NOT_FOUND' } });
  t.equal(asked.length, 2, 'to record, and to stop once');
});

await test('a fetcher that died took the trace with it', async (t) => {
  const { recording } = start({ stop: null });
  await recording.start({});
  await t.rejects(recording.stop(), { code: 'IO', message: /the fetcher has ended/ });
  t.same(recording.status(), { recording: null }, 'another one can be started');
});
