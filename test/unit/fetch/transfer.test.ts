// One request for neighbouring chunks.
import t from 'tap';
import { CHUNK_SIZE } from '../../../daemon/blob/chunk-map.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import { Transfer } from '../../../daemon/fetch/transfer.js';
import type { RangeRequest, TakeBytes } from '../../../daemon/registry/http/client.js';
import { FakeBlob } from '../../support/fetch-fakes.js';

type FetchRange = (request: RangeRequest, take: TakeBytes, signal: AbortSignal) => Promise<string>;

function transferOf(blob: FakeBlob, first: number, last: number, fetchRange: FetchRange) {
  const arrived: number[] = [];
  for (let chunk = first; chunk <= last; chunk++) blob.begin(chunk);
  const transfer = new Transfer({
    client: { fetchRange },
    ref: blob.ref,
    cached: blob,
    first,
    last,
    class: 'demand',
    deadline: 5000,
    fromOrigin: true,
    arrived: (chunk) => void arrived.push(chunk),
  });
  return { transfer, arrived };
}

await t.test('pieces of any length become chunks', async (test) => {
  for (const piece of [1, 1000, CHUNK_SIZE - 1, CHUNK_SIZE, CHUNK_SIZE + 1, 300_000]) {
    const blob = new FakeBlob(5 * CHUNK_SIZE + 10);
    const asked: RangeRequest[] = [];
    const { transfer, arrived } = transferOf(blob, 1, 5, (request, take) => {
      asked.push(request);
      // One memory for all pieces, as a client may have.
      const memory = Buffer.alloc(piece);
      for (let at = request.first; at <= request.last; at += piece) {
        const n = Math.min(piece, request.last + 1 - at);
        blob.data.copy(memory, 0, at, at + n);
        take(at, memory.subarray(0, n));
      }
      return Promise.resolve('mirror.example');
    });
    test.equal(await transfer.run(), 'mirror.example');
    test.match(asked, [
      {
        first: CHUNK_SIZE,
        last: blob.spec.size - 1,
        class: 'demand',
        deadlineMs: 5000,
        fromOrigin: true,
      },
    ]);
    test.same(arrived, [1, 2, 3, 4, 5]);
    test.ok(blob.kept.subarray(CHUNK_SIZE).equals(blob.data.subarray(CHUNK_SIZE)), `${piece}`);
  }
});

const sent = async (send: () => void): Promise<string> => {
  await Promise.resolve();
  send();
  return 'registry.example';
};

await t.test('what a client must not do ends it, and keeps what is right', async (test) => {
  const cases: [string, FetchRange, RegExp][] = [
    [
      'too little',
      (_request, take) => sent(() => take(0, Buffer.alloc(CHUNK_SIZE))),
      /chunk 1 of sha256:.* did not come/,
    ],
    [
      'another place',
      (_request, take) => sent(() => take(CHUNK_SIZE, Buffer.alloc(1))),
      /bytes at 65536 do not go on where the last ones ended/,
    ],
    [
      'too much',
      (_request, take) => sent(() => take(0, Buffer.alloc(2 * CHUNK_SIZE + 11))),
      /bytes past the end of chunk 1/,
    ],
  ];
  for (const [what, fetchRange, message] of cases) {
    const { transfer } = transferOf(new FakeBlob(CHUNK_SIZE + 10), 0, 1, fetchRange);
    await test.rejects(transfer.run(), { message }, what);
  }
});

await t.test(
  'ends when it is aborted, whatever the client does, and takes nothing more',
  async (test) => {
    const blob = new FakeBlob(2 * CHUNK_SIZE);
    let give: TakeBytes | null = null;
    const { transfer, arrived } = transferOf(blob, 0, 1, (_request, take) => {
      give = take;
      take(0, blob.data.subarray(0, CHUNK_SIZE));
      return new Promise(() => undefined);
    });
    const run = transfer.run();
    transfer.abort(new OverlaybdError('BUSY', 'closed'));
    await test.rejects(run, { code: 'BUSY' });
    test.same(arrived, [0], 'what came before is kept when it ends');
    (give as TakeBytes | null)?.(CHUNK_SIZE, blob.data.subarray(CHUNK_SIZE));
    test.equal(blob.writes, 1);
  },
);
