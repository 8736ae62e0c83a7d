// Which images are opened at the same time: those of a host that is slow do not delay those of another.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { test } from 'tap';
import { sourceOfWords } from '../../../daemon/image/plan/image-source.js';
import type { LoopTimes, OpenerLane } from '../../../daemon/opener/lane.js';
import type { OpenRequest, PostedImage } from '../../../daemon/opener/messages.js';
import {
  HostLanes,
  hostOf,
  LANES_A_HOST,
  MAX_BUSY_LANES,
  MAX_LANES,
} from '../../../daemon/opener/host-lanes.js';
import { until } from '../../support/until.js';

const IMAGE = {} as PostedImage;

/** Lanes that open an image when they are told to. */
class FakeLanes {
  made = 0;
  /** Names of images that are being opened, with what ends that. */
  readonly running = new Map<string, (error?: Error) => void>();
  /** Milliseconds that a thread has worked, and waited. */
  times: LoopTimes = { activeMs: 0, idleMs: 0 };
  readonly lanes = new HostLanes(() => this.#make());

  /** @param name "HOST/REPOSITORY", or the path of a file */
  open(name: string, cancelled: AbortSignal | null = null): ReturnType<OpenerLane['open']> {
    const word = name.startsWith('/') ? name : `docker://${name}`;
    const request: OpenRequest = {
      source: sourceOfWords([word]),
      strict: false,
      readsWhole: true,
      records: null,
      fetcher: null,
    };
    return this.lanes.open(hostOf(request.source.blobs), request, () => undefined, cancelled);
  }

  async end(name: string, error?: Error): Promise<void> {
    this.running.get(name)?.(error);
    await nextTurn();
  }

  get names(): string[] {
    return [...this.running.keys()];
  }

  #make(): Pick<OpenerLane, 'open' | 'close' | 'times'> {
    this.made++;
    const stopping = new Error('stopping');
    let isClosed = false;
    let ours: string | null = null;
    return {
      times: () => this.times,
      open: async ({ source }) => {
        if (isClosed) throw stopping;
        const [blob] = source.blobs;
        const name = blob?.kind === 'image' ? blob.reference.slice('docker://'.length) : '/file';
        if (ours !== null) throw new Error(`${name}: the lane has ${ours}`);
        ours = name;
        try {
          return await new Promise((resolve, reject) => {
            this.running.set(name, (error) => (error ? reject(error) : resolve(IMAGE)));
          });
        } finally {
          ours = null;
          this.running.delete(name);
        }
      },
      close: () => {
        isClosed = true;
        if (ours !== null) this.running.get(ours)?.(stopping);
      },
    };
  }
}

await test('a host that is slow holds its share, and another one does not wait', async (t) => {
  const fake = new FakeLanes();
  const opening = ['slow.example/a', 'slow.example/b', 'slow.example/c', 'good.example/a'].map(
    (name) => fake.open(name),
  );
  t.same(fake.names, ['slow.example/a', 'slow.example/b', 'good.example/a']);
  await fake.end('good.example/a');
  t.equal(await opening[3], IMAGE);
  t.same(fake.names, ['slow.example/a', 'slow.example/b'], `${LANES_A_HOST} of a host`);
  const failed = t.rejects(opening[1] as Promise<unknown>, { message: 'broken' });
  await fake.end('slow.example/b', new Error('broken'));
  await failed;
  t.same(fake.names, ['slow.example/a', 'slow.example/c'], 'one that fails makes room, too');
  t.equal(fake.made, 3, 'lanes are used again');
  await fake.end('slow.example/a');
  await fake.end('slow.example/c');
  t.same(await Promise.all([opening[0], opening[2]]), [IMAGE, IMAGE]);
});

await test('all hosts together have a bound, and the host with the fewest is next', async (t) => {
  const fake = new FakeLanes();
  const hosts = Array.from({ length: MAX_BUSY_LANES - 1 }, (_, i) => `h${i}.example`);
  const opening = [...hosts.map((host) => fake.open(`${host}/a`)), fake.open('h0.example/b')];
  t.equal(fake.names.length, MAX_BUSY_LANES);
  const waiting = [fake.open('h1.example/b'), fake.open('/file'), fake.open('h2.example/b')];
  t.equal(fake.names.length, MAX_BUSY_LANES);
  await fake.end('h0.example/a');
  t.ok(fake.names.includes('/file'), 'this machine has none, and h1 has one');
  await fake.end('h0.example/b');
  t.ok(fake.names.includes('h1.example/b'), 'then the one that came first');
  while (fake.names.length > 0) await fake.end(fake.names[0] as string);
  t.ok((await Promise.all([...opening, ...waiting])).every((image) => image === IMAGE));
  t.equal(fake.made, MAX_BUSY_LANES);
});

await test('a stop ends those that run and those that wait', async (t) => {
  const fake = new FakeLanes();
  const opening = ['a', 'b', 'c', 'd'].map((name) => fake.open(`slow.example/${name}`));
  fake.lanes.close();
  for (const each of await Promise.allSettled([...opening, fake.open('good.example/a')])) {
    t.match(each, { status: 'rejected', reason: { message: 'stopping' } });
  }
});

for (const [count, hosts] of [
  [8, 4],
  [20, 10],
] as const) {
  await test(`${count} images that drip, of ${hosts} hosts, take no room from one of another`, async (t) => {
    const fake = new FakeLanes();
    const opening = Array.from({ length: count }, (_, i) =>
      fake.open(`drip${i % hosts}.example/${i}`),
    );
    t.equal(fake.names.length, MAX_BUSY_LANES, 'nobody knows yet which of them drip');
    // Another second and a half of waiting, and some work.
    fake.times = { activeMs: 100, idleMs: 1400 };
    opening.push(fake.open('good.example/a'));
    t.ok(fake.names.includes('good.example/a'));
    const others = [fake.open('good.example/b'), fake.open('good.example/c')];
    t.notOk(fake.names.includes('good.example/c'), 'a host has its share');
    while (fake.names.length > 0) await fake.end(fake.names[0] as string);
    t.ok((await Promise.all([...opening, ...others])).every((image) => image === IMAGE));
  });
}

await test('threads that work count, also after they have waited', (t) => {
  const fake = new FakeLanes();
  const names = Array.from({ length: MAX_BUSY_LANES }, (_, i) => `h${i}.example/a`);
  const open = (name: string): void => void fake.open(name).catch(() => {});
  names.forEach(open);
  fake.times = { activeMs: 999, idleMs: 0 };
  open('early.example/a');
  t.notOk(fake.names.includes('early.example/a'), 'watched for too short a time');
  fake.times = { activeMs: 900, idleMs: 600 };
  open('late.example/a');
  t.equal(fake.names.length, MAX_BUSY_LANES, 'they work most of the time');
  fake.times = { activeMs: 1000, idleMs: 2000 };
  open('later.example/a');
  for (const name of ['early', 'late', 'later']) t.ok(fake.names.includes(`${name}.example/a`));
  fake.times = { activeMs: 3000, idleMs: 2000 };
  open('last.example/a');
  t.equal(fake.names.length, MAX_BUSY_LANES + 3);
  fake.lanes.close();
  t.end();
});

await test('a lane that begins to wait makes room, without another event', async () => {
  const fake = new FakeLanes();
  for (let i = 0; i < MAX_BUSY_LANES; i++) fake.open(`h${i}.example/a`).catch(() => {});
  fake.open('good.example/a').catch(() => {});
  fake.times = { activeMs: 0, idleMs: 5000 };
  await until(() => fake.names.includes('good.example/a'));
  fake.lanes.close();
});

await test('threads that wait have a bound, too, and from half of it on a host has one', (t) => {
  const fake = new FakeLanes();
  const open = (name: string): void => void fake.open(name).catch(() => {});
  let idleMs = 0;
  for (let i = 0; i < MAX_LANES; i++) {
    fake.times = { activeMs: 0, idleMs: (idleMs += 2000) };
    open(`h${i}.example/a`);
    open(`h${i}.example/b`);
  }
  t.equal(fake.names.length, MAX_LANES);
  const hosts = new Set(fake.names.map((name) => name.split('/')[0]));
  t.equal(hosts.size, (MAX_LANES * 3) / 4);
  fake.lanes.close();
  t.end();
});

await test('an opening that is cancelled while it waits ends at once', async (t) => {
  const fake = new FakeLanes();
  const first = ['a', 'b'].map((name) => fake.open(`slow.example/${name}`));
  const abort = new AbortController();
  const third = fake.open('slow.example/c', abort.signal);
  abort.abort();
  await t.rejects(third, { code: 'BUSY', message: 'the opening was cancelled' });
  const fourth = fake.open('slow.example/d');
  await fake.end('slow.example/a');
  t.same(fake.names, ['slow.example/b', 'slow.example/d']);
  await fake.end('slow.example/b');
  await fake.end('slow.example/d');
  await Promise.all([...first, fourth]);
  fake.lanes.close();
});

await test('an opening that was cancelled before does not wait', async (t) => {
  const fake = new FakeLanes();
  const first = ['a', 'b'].map((name) => fake.open(`slow.example/${name}`));
  let isClosed = false;
  const port = { close: () => (isClosed = true) };
  const request = {
    source: sourceOfWords(['docker://slow.example/c']),
    strict: false,
    readsWhole: true,
    records: null,
    fetcher: { port } as unknown as OpenRequest['fetcher'],
  };
  const third = fake.lanes.open('slow.example', request, () => undefined, AbortSignal.abort());
  let error: unknown = null;
  third.catch((each: unknown) => (error = each));
  await nextTurn();
  t.match(error, { code: 'BUSY', message: 'the opening was cancelled' });
  t.ok(isClosed, 'its line to the fetcher has no user');
  for (const name of ['a', 'b']) await fake.end(`slow.example/${name}`);
  await Promise.all(first);
  t.same(fake.names, []);
  fake.lanes.close();
});

await test('the host of an image is that of its first layer that is in a registry', (t) => {
  const file = { kind: 'file', path: '/layers/base' } as const;
  const blob = {
    kind: 'registry',
    host: 'a.example',
    repository: 'x',
    digest: 'sha256:0',
    size: 1,
  } as const;
  t.equal(hostOf([file, blob]), 'a.example', 'as of a configuration');
  t.equal(hostOf([{ kind: 'image', reference: 'docker://b.example/x' }]), 'b.example');
  t.equal(hostOf([{ kind: 'image', reference: 'oci:/layout' }, file]), '');
  t.end();
});
