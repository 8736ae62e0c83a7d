// Recording and replaying of traces.
import t from 'tap';
import { OpenBlob, type Blobs } from '../../../daemon/fetch/blobs.js';
import { MAX_TRACE_ENTRIES } from '../../../daemon/fetch/limits.js';
import { replayTrace, TraceRecorder } from '../../../daemon/fetch/trace.js';
import { FakeBlob, FakeClock, remoteError, scheduled } from '../../support/fetch-fakes.js';

const MIB = 1 << 20;

function blobsOf(...open: OpenBlob[]): Pick<Blobs, 'all' | 'find'> {
  return { all: open, find: (number) => open.find(({ cached }) => cached.spec.blob === number) };
}

await t.test('notes chunks in the order of their first use, wanted or touched', async (test) => {
  const clock = new FakeClock();
  const fakes = [new FakeBlob(4 * MIB), new FakeBlob(4 * MIB), new FakeBlob(4 * MIB)];
  const [a, b, other] = fakes.map((fake) => new OpenBlob(fake.ref, fake));
  if (!a || !b || !other) throw new Error('none');
  const recorder = new TraceRecorder(clock);
  a.cached.map.set(50);
  test.equal(recorder.stop(), null);
  recorder.start([a, b]);
  test.ok(recorder.isRecording(a));
  test.notOk(recorder.isRecording(other));
  recorder.wanted(a, 3, 5);
  recorder.wanted(b, 0, 0);
  recorder.wanted(other, 0, 0);
  recorder.wanted(a, 4, 7);
  a.cached.map.touch(50, 50);
  await clock.pass(150);
  recorder.wanted(b, 1, 1);
  a.cached.map.touch(51, 51);
  for (const chunk of [60, 61]) {
    a.cached.map.set(chunk);
    a.cached.map.setFresh(chunk);
  }
  await clock.pass(150);
  a.cached.map.touch(61, 61);
  const [da, db] = [a.ref.digest, b.ref.digest];
  test.same(recorder.stop(), [
    { digest: da, first: 3, last: 5 },
    { digest: db, first: 0, last: 0 },
    { digest: da, first: 6, last: 7 },
    { digest: da, first: 50, last: 50 },
    { digest: db, first: 1, last: 1 },
    { digest: da, first: 51, last: 51 },
    { digest: da, first: 61, last: 61 },
  ]);
  test.notOk(recorder.isRecording(a));
  await clock.pass(1000);
  test.equal(clock.timers, 0);
});

await t.test(
  'replays in order, a bounded number of chunks at a time, and passes over failures',
  async (test) => {
    const fake = new FakeBlob(64 * MIB);
    const { clock, client, scheduler } = scheduled(fake);
    const blob = new OpenBlob(fake.ref, fake);
    const { digest } = fake.ref;
    const entries = [
      { digest: 'sha256:gone', first: 0, last: 9 },
      { digest, first: 900, last: 900 },
      { digest, first: 0, last: 799 },
      { digest, first: 1000, last: 9999 },
    ];
    const { signal } = new AbortController();
    const added: unknown[] = [];
    const removed: unknown[] = [];
    const add = signal.addEventListener.bind(signal);
    const remove = signal.removeEventListener.bind(signal);
    signal.addEventListener = (type: string, listener: () => void): void => {
      added.push(listener);
      add(type, listener);
    };
    signal.removeEventListener = (type: string, listener: () => void): void => {
      removed.push(listener);
      remove(type, listener);
    };
    let present = -1;
    void replayTrace(scheduler, blobsOf(blob), entries, signal).then(
      (chunks) => (present = chunks),
    );
    await clock.settle();
    test.ok(client.requests.every((each) => each.class === 'trace'));
    let most = 0;
    let failures = 0;
    while (client.open.length > 0) {
      most = Math.max(most, blob.wanted.size);
      if (failures++ === 0) client.open[0]?.fail(remoteError());
      else client.open[0]?.answer();
      await clock.settle();
    }
    test.equal(client.requests[0]?.first, 900 * 65536);
    test.ok(most <= 256, `${most} chunks`);
    test.equal(present, 800 + 24);
    test.equal(added.length, 1);
    test.same(removed, added, 'no listener stays');
  },
);

await t.test('ends when it is stopped', async (test) => {
  const fake = new FakeBlob(64 * MIB);
  const { clock, client, scheduler } = scheduled(fake);
  const blob = new OpenBlob(fake.ref, fake);
  const stop = new AbortController();
  let isOver = false;
  const entries = [{ digest: fake.ref.digest, first: 0, last: 999 }];
  void replayTrace(scheduler, blobsOf(blob), entries, stop.signal).then(() => (isOver = true));
  await clock.settle();
  const before = client.requests.length;
  stop.abort();
  await clock.settle();
  test.ok(isOver);
  for (const each of client.open.slice()) each.answer();
  await clock.settle();
  test.ok(client.requests.length <= before + 8);
});

await t.test('asks for nothing more of a blob that is closed', async (test) => {
  const fakes = [new FakeBlob(64 * MIB), new FakeBlob(MIB)];
  const { clock, client, scheduler } = scheduled(...fakes);
  const [closing, other] = fakes.map((fake) => new OpenBlob(fake.ref, fake));
  if (!closing || !other) throw new Error('none');
  const open = [closing, other];
  const entries = open.map(({ ref: { digest } }) => ({ digest, first: 0, last: 999 }));
  const { signal } = new AbortController();
  let present = -1;
  let isClosed = false;
  const { all, find } = blobsOf(...open);
  const closable = {
    all,
    find: (number: number) => (isClosed ? blobsOf(other).find(number) : find(number)),
  };
  void replayTrace(scheduler, closable, entries, signal).then((n) => (present = n));
  await clock.settle();
  const before = client.requests.length;
  isClosed = true;
  const removed = scheduler.remove(closing);
  for (const each of client.open.slice()) each.fail(remoteError());
  await clock.settle();
  await removed;
  const after = client.requests.slice(before);
  test.ok(after.length > 0);
  test.ok(
    after.every(({ ref }) => ref.digest === other.ref.digest),
    'only the other one',
  );
  while (client.open.length > 0) {
    client.open[0]?.answer();
    await clock.settle();
  }
  test.equal(present, 16);
});

await t.test('a recording has an end', (test) => {
  const clock = new FakeClock();
  // A blob with as many chunks would take 16 GiB.
  const map = { isFresh: () => false, takeTouch: () => false };
  const cached = { spec: { digest: 'sha256:long' }, map };
  const long = { cached, chunks: 3 * MAX_TRACE_ENTRIES } as unknown as OpenBlob;
  const recorder = new TraceRecorder(clock);
  recorder.start([long]);
  for (let i = 0; i <= MAX_TRACE_ENTRIES; i++) recorder.wanted(long, 2 * i, 2 * i);
  test.equal(recorder.stop()?.length, MAX_TRACE_ENTRIES);
  test.end();
});
