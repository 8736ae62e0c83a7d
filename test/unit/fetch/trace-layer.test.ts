// The acceleration layer: fetched in the class of traces, checked, and taken out of its tar.
import { createHash } from 'node:crypto';
import { openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { OpenBlob } from '../../../daemon/fetch/blobs.js';
import { loadTrace } from '../../../daemon/fetch/trace-layer.js';
import { FakeBlob, scheduled } from '../../support/fetch-fakes.js';
import { wrapTar } from '../../support/tar-writer.js';

/** @param kept what the cache gives back instead of the layer */
function layerOf(test: Test, layer: Buffer, kept = layer) {
  const fd = openSync(join(test.testdir(), 'data'), 'w+');
  writeSync(fd, kept);
  const name = createHash('sha256').update(layer).digest('hex');
  const fake = new FakeBlob(layer.length, 'registry.example', name);
  Object.assign(fake.spec, { fd });
  const { clock, client, scheduler } = scheduled(fake);
  client.prompt.add('registry.example');
  const results: unknown[] = [];
  void loadTrace(fake.ref, () => Promise.resolve(new OpenBlob(fake.ref, fake)), scheduler).then(
    (bytes) => results.push(bytes),
    (error: unknown) => results.push(error),
  );
  const settle = async (): Promise<unknown> => {
    await clock.settle();
    return results[0];
  };
  return { client, fake, settle };
}

const PAYLOAD = Buffer.alloc(100_000, 'a trace');

await t.test('gives the content of the tar', async (test) => {
  for (const pax of [false, true]) {
    const { client, settle } = layerOf(test, wrapTar(PAYLOAD, { pax, name: 'trace' }));
    const got = await settle();
    test.ok(got instanceof Uint8Array && PAYLOAD.equals(got));
    test.same(
      client.requests.map((each) => each.class),
      ['trace'],
    );
  }
});

await t.test('bytes with another digest are dropped', async (test) => {
  const layer = wrapTar(PAYLOAD, { pax: false, name: 'trace' });
  const kept = Buffer.from(layer);
  kept.writeUInt8(0, 1000);
  const { fake, settle } = layerOf(test, layer, kept);
  test.match(await settle(), { code: 'BAD_CHECKSUM', message: /registry.example/ });
  test.equal(fake.drops, 2);
});

await t.test('what is not a tar, and what is long, is refused', async (test) => {
  const noTar = layerOf(test, Buffer.alloc(5000, 1));
  test.match(await noTar.settle(), { code: 'BAD_FORMAT', message: /not a tar/ });
  const long = layerOf(test, Buffer.alloc(5 << 20));
  test.match(await long.settle(), {
    code: 'LIMIT',
    message: /5242880 bytes of an acceleration layer, at most 4259840/,
  });
  test.same(long.client.requests, []);
  const cut = wrapTar(PAYLOAD, { pax: false, name: 'trace' }).subarray(0, 2000);
  test.match(await layerOf(test, cut).settle(), { code: 'BAD_FORMAT' });
});
