// Which images are read as a whole at the same time: those of a host that is slow do not delay those of another.
import { setImmediate as nextTurn } from 'node:timers/promises';
import { test } from 'tap';
import { sourceOfWords } from '../../../daemon/image/image-source.js';
import type { OpenerLane } from '../../../daemon/image/opener-lane.js';
import type { OpenRequest, PostedImage } from '../../../daemon/image/opener-messages.js';
import { LANES_A_HOST, MAX_WHOLE_LANES, WholeLanes } from '../../../daemon/image/whole-lanes.js';

const IMAGE = {} as PostedImage;

/** Lanes that open an image when they are told to. */
class FakeLanes {
  made = 0;
  /** Names of images that are being opened, with what ends that. */
  readonly running = new Map<string, (error?: Error) => void>();
  readonly lanes = new WholeLanes(() => this.#make());

  /** @param name "HOST/REPOSITORY", or the path of a file */
  open(name: string): ReturnType<OpenerLane['open']> {
    const word = name.startsWith('/') ? name : `docker://${name}`;
    const request: OpenRequest = {
      source: sourceOfWords([word]),
      strict: false,
      readsWhole: true,
      records: null,
      fetcher: null,
    };
    return this.lanes.open(request, () => undefined);
  }

  async end(name: string, error?: Error): Promise<void> {
    this.running.get(name)?.(error);
    await nextTurn();
  }

  get names(): string[] {
    return [...this.running.keys()];
  }

  #make(): Pick<OpenerLane, 'open' | 'close'> {
    this.made++;
    const stopping = new Error('stopping');
    let isClosed = false;
    let ours: string | null = null;
    return {
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
  const hosts = Array.from({ length: MAX_WHOLE_LANES - 1 }, (_, i) => `h${i}.example`);
  const opening = [...hosts.map((host) => fake.open(`${host}/a`)), fake.open('h0.example/b')];
  t.equal(fake.names.length, MAX_WHOLE_LANES);
  const waiting = [fake.open('h1.example/b'), fake.open('/file'), fake.open('h2.example/b')];
  t.equal(fake.names.length, MAX_WHOLE_LANES);
  await fake.end('h0.example/a');
  t.ok(fake.names.includes('/file'), 'this machine has none, and h1 has one');
  await fake.end('h0.example/b');
  t.ok(fake.names.includes('h1.example/b'), 'then the one that came first');
  while (fake.names.length > 0) await fake.end(fake.names[0] as string);
  t.ok((await Promise.all([...opening, ...waiting])).every((image) => image === IMAGE));
  t.equal(fake.made, MAX_WHOLE_LANES);
});

await test('a stop ends those that run and those that wait', async (t) => {
  const fake = new FakeLanes();
  const opening = ['a', 'b', 'c', 'd'].map((name) => fake.open(`slow.example/${name}`));
  fake.lanes.close();
  for (const each of await Promise.allSettled([...opening, fake.open('good.example/a')])) {
    t.match(each, { status: 'rejected', reason: { message: 'stopping' } });
  }
});
