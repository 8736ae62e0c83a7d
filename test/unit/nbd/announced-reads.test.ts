// Short reads that arrive together are announced to the disk before they are answered.
import t from 'tap';
import { NBD_CMD } from '../../../daemon/nbd/constants.js';
import { LargeMemory } from '../../../daemon/nbd/large-memory.js';
import {
  MAX_ANNOUNCED_LENGTH,
  MAX_ANNOUNCED_READS,
  MAX_UNSENT_BYTES,
} from '../../../daemon/nbd/limits.js';
import type { ReplyForm } from '../../../daemon/nbd/session.js';
import { FakeExport, bytesAt } from './fake-export.js';
import { Harness } from './transmission-harness.js';

const FORMS: readonly ReplyForm[] = ['simple', 'structured', 'extended'];
const SIZE = 4 << 20;

/** Records the order of rounds, announced reads and reads. */
class TogetherExport extends FakeExport {
  readonly events: string[] = [];
  mayBegin = true;
  readonly together = {
    round: 0,
    begin: (): boolean => {
      this.events.push('begin');
      if (this.mayBegin) this.together.round++;
      return this.mayBegin;
    },
    end: (): void => void this.events.push('end'),
  };

  constructor() {
    super(SIZE);
    this.onRead = ({ offset }) => {
      this.events.push(`read ${offset}`);
      return true;
    };
  }

  announce(offset: number, length: number): void {
    this.events.push(`announce ${offset}+${length}`);
  }
}

function world(form: ReplyForm): { fake: TogetherExport; harness: Harness } {
  const fake = new TogetherExport();
  return { fake, harness: new Harness(fake, new LargeMemory(), { form, contexts: [] }) };
}

const offsets = (n: number): number[] => Array.from({ length: n }, (_, i) => 4096 * (i + 1));

function ask(harness: Harness, at: readonly number[], length = 512): void {
  at.forEach((offset) => harness.ask({ cookie: BigInt(offset), offset, length }));
}

const announcement = (part: readonly number[], length: number): string[] => [
  'begin',
  ...part.map((at) => `announce ${at}+${length}`),
  'end',
];

/** What happens in a round of reads of 512 bytes. */
const round = (part: readonly number[]): string[] => [
  ...announcement(part, 512),
  ...part.map((at) => `read ${at}`),
];

for (const form of FORMS) {
  await t.test(`${form}: all of them before the first is answered`, (test) => {
    const { fake, harness } = world(form);
    ask(harness, offsets(4));
    harness.pump();
    test.same(fake.events, round(offsets(4)));
    for (const { cookie, data } of harness.answers()) {
      if (!data.equals(bytesAt(Number(cookie), 512))) test.fail(`other bytes at ${cookie}`);
    }
    test.equal(harness.answers().length, 4);
    test.end();
  });
}

await t.test('few reads are not announced, nor those of a disk that does not want them', (test) => {
  const { fake, harness } = world('structured');
  ask(harness, offsets(3));
  harness.pump();
  fake.mayBegin = false;
  ask(harness, offsets(8));
  harness.pump();
  const expected = [3, 8].map((n) => offsets(n).map((at) => `read ${at}`));
  test.same(fake.events, [...(expected[0] ?? []), 'begin', ...(expected[1] ?? [])]);
  test.end();
});

await t.test('many reads are announced in rounds', (test) => {
  const { fake, harness } = world('simple');
  const all = offsets(MAX_ANNOUNCED_READS + 5);
  ask(harness, all);
  harness.pump();
  test.same(fake.events, [
    ...round(all.slice(0, MAX_ANNOUNCED_READS)),
    ...round(all.slice(MAX_ANNOUNCED_READS)),
  ]);
  test.end();
});

for (const isDisturbed of [false, true]) {
  const who = isDisturbed ? 'another connection' : 'none';
  await t.test(`a full socket in the middle of a round, and ${who} begins one`, (test) => {
    const { fake, harness } = world('structured');
    const all = offsets(28);
    ask(harness, all, MAX_ANNOUNCED_LENGTH);
    harness.room = MAX_UNSENT_BYTES + MAX_ANNOUNCED_LENGTH;
    harness.pump();
    const taken = fake.events.filter((each) => each.startsWith('read')).length;
    test.ok(taken > 0 && taken <= 24, `${taken} were read before the socket was full`);
    if (isDisturbed) fake.together.round++;
    harness.room = Infinity;
    harness.pump();
    const announced = fake.events.filter((each) => !each.startsWith('read'));
    const again = isDisturbed ? announcement(all.slice(taken), MAX_ANNOUNCED_LENGTH) : [];
    test.same(announced, [...announcement(all, MAX_ANNOUNCED_LENGTH), ...again]);
    test.equal(harness.answers().length, 28);
    test.end();
  });
}

await t.test('if no round begins, the next turn tries again', (test) => {
  const { fake, harness } = world('structured');
  fake.mayBegin = false;
  ask(harness, offsets(28), MAX_ANNOUNCED_LENGTH);
  harness.room = MAX_UNSENT_BYTES + MAX_ANNOUNCED_LENGTH;
  harness.pump();
  fake.mayBegin = true;
  harness.room = Infinity;
  harness.pump();
  test.equal(fake.events.filter((each) => each === 'begin').length, 2);
  test.equal(fake.events.filter((each) => each === 'end').length, 1);
  test.equal(harness.answers().length, 28);
  test.end();
});

await t.test('other requests end a round, and are refused as ever', (test) => {
  const long = MAX_ANNOUNCED_LENGTH + 512;
  for (const [request, isRefused] of [
    [{ type: NBD_CMD.TRIM, offset: 0, length: 512 }, true],
    [{ type: 99, offset: 0, length: 512 }, true],
    [{ offset: SIZE - 512, length: 1024 }, true],
    [{ offset: 2 ** 53, length: 512 }, true],
    [{ offset: 0, length: long }, false],
  ] as const) {
    const { fake, harness } = world('structured');
    ask(harness, offsets(2));
    harness.ask({ cookie: 1n, ...request });
    ask(harness, [65_536, 69_632, 73_728, 77_824]);
    harness.pump();
    const what = JSON.stringify(request);
    const announced = fake.events.filter((each) => each.startsWith('announce'));
    test.same(
      announced,
      [4096, 8192, 65_536, 69_632, 73_728, 77_824].map((at) => `announce ${at}+512`),
      what,
    );
    test.equal(harness.refusals.length, isRefused ? 1 : 0, what);
    test.equal(harness.answers().length, 7, what);
  }
  test.end();
});

await t.test(
  'bytes that are no request end the connection after the replies before them',
  (test) => {
    const { fake, harness } = world('simple');
    ask(harness, offsets(2));
    harness.feed(Buffer.alloc(28 * 4, 0x41));
    test.throws(() => harness.pump(), /magic/);
    test.same(
      fake.events.filter((each) => each.startsWith('read')),
      ['read 4096', 'read 8192'],
    );
    test.end();
  },
);

await t.test('the payload of a refused write is not taken for requests', (test) => {
  const { fake, harness } = world('simple');
  const payload = Buffer.alloc(512);
  for (let at = 0; at + 28 <= payload.length; at += 28) payload.writeUInt32BE(0x25609513, at);
  ask(harness, offsets(1));
  harness.ask({ cookie: 9n, type: NBD_CMD.WRITE, offset: 0, length: 512 }, payload);
  ask(harness, offsets(5).slice(1));
  harness.pump();
  harness.pump();
  test.same(
    fake.events.filter((each) => each.startsWith('announce')),
    offsets(5).map((at) => `announce ${at}+512`),
  );
  test.equal(harness.answers().length, 6);
  test.end();
});
