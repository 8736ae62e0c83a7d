// The handshake parser: every way to split its input, and every mistake that a client may make; no sockets.
import * as fc from 'fast-check';
import t from 'tap';
import { NBD_INFO, NBD_OPT, NBD_REP } from '../../../daemon/nbd/constants.js';
import { ProtocolError } from '../../../daemon/nbd/errors.js';
import type { ExportTable } from '../../../daemon/nbd/export.js';
import { Handshake, type HandshakeResult } from '../../../daemon/nbd/handshake.js';
import {
  MAX_HANDSHAKE_BYTES,
  MAX_NAME_LENGTH,
  MAX_OPTION_LENGTH,
} from '../../../daemon/nbd/limits.js';
import { ExportMap } from '../../../daemon/reactor/export-map.js';
import { clientFlags, infoData, optionBytes } from '../../support/nbd-client.js';
import { FakeExport, tableOf } from './fake-export.js';
import { holds } from '../../support/holds.js';

const SIZE = 2 ** 40 + 512;
const first = new FakeExport(SIZE, 'first', 'one layer');
const second = new FakeExport(512, 'zweiter \u{1f4bf}', '');
const both = tableOf(first, second);
const NOTHING = Buffer.alloc(0);
/** NBD_FLAG_HAS_FLAGS, READ_ONLY, SEND_FLUSH, CAN_MULTI_CONN, SEND_CACHE; not SEND_DF, which needs chunks. */
const SIMPLE_FLAGS = 0b101_0000_0111;
const GREETING = Buffer.concat([Buffer.from('NBDMAGICIHAVEOPT', 'latin1'), Buffer.from([0, 3])]);

interface Outcome {
  out: Buffer;
  result: HandshakeResult | null;
  /** Bytes that the handshake did not consume. */
  rest: Buffer;
  error: unknown;
}

/** Feeds chunks as a connection does: unconsumed bytes are offered again together with the next chunk. */
function feed(chunks: readonly Buffer[], exports: ExportTable = both): Outcome {
  const out: Buffer[] = [];
  const handshake = new Handshake(exports, (bytes) => out.push(Buffer.from(bytes)));
  let held: Buffer = NOTHING;
  let error: unknown;
  try {
    for (const chunk of chunks) {
      held = Buffer.concat([held, chunk]);
      while (!handshake.result) {
        const used = handshake.step(held);
        if (used === 0) break;
        if (used < 0 || used > held.length) throw new RangeError(`used ${used} of ${held.length}`);
        held = held.subarray(used);
      }
    }
  } catch (thrown) {
    error = thrown;
  }
  return { out: Buffer.concat(out), result: handshake.result, rest: held, error };
}

/** A handshake whose client has sent its flags. */
function shaking(): Handshake {
  const handshake = new Handshake(both, () => undefined);
  handshake.step(clientFlags());
  return handshake;
}

function shake(...options: Buffer[]): Outcome {
  return feed([Buffer.concat([clientFlags(), ...options])]);
}

interface Reply {
  option: number;
  type: number;
  data: Buffer;
}

/** All option replies after the greeting; throws on any other bytes. */
function replies({ out }: Outcome): Reply[] {
  if (!out.subarray(0, 18).equals(GREETING)) throw new Error('no greeting');
  const all: Reply[] = [];
  for (let at = 18; at < out.length;) {
    if (out.readBigUInt64BE(at) !== 0x3e889045565a9n) throw new Error(`no reply magic at ${at}`);
    const length = out.readUInt32BE(at + 16);
    if (at + 20 + length > out.length) throw new Error('a reply is cut short');
    const data = out.subarray(at + 20, at + 20 + length);
    all.push({ option: out.readUInt32BE(at + 8), type: out.readUInt32BE(at + 12), data });
    at += 20 + length;
  }
  return all;
}

function transmissionOf(found: FakeExport): HandshakeResult {
  return { kind: 'transmission', export: found, session: { form: 'simple', contexts: [] } };
}

const types = (outcome: Outcome): number[] => replies(outcome).map(({ type }) => type);

await t.test('the server sends its greeting first', async (test) => {
  const { out, result } = feed([]);
  test.same(out, GREETING);
  test.equal(result, null);
});

const SESSION = Buffer.concat([
  clientFlags(),
  optionBytes(12, NOTHING),
  optionBytes(NBD_OPT.STRUCTURED_REPLY, NOTHING),
  optionBytes(NBD_OPT.LIST, NOTHING),
  optionBytes(0xdeadbeef, Buffer.from('whatever')),
  optionBytes(77, Buffer.alloc(1), MAX_OPTION_LENGTH + 1),
  Buffer.alloc(MAX_OPTION_LENGTH, 'IHAVEOPT'),
  optionBytes(NBD_OPT.INFO, infoData('nobody')),
  optionBytes(NBD_OPT.GO, infoData('first', [NBD_INFO.NAME, NBD_INFO.DESCRIPTION, 99])),
  Buffer.from('the transmission phase'),
]);

await t.test('the answers do not depend on how the input is split', async (test) => {
  const whole = feed([SESSION]);
  test.equal(whole.error, undefined);
  test.same(types(whole), [
    NBD_REP.ERR_UNSUP,
    NBD_REP.ACK,
    NBD_REP.SERVER,
    NBD_REP.SERVER,
    NBD_REP.ACK,
    NBD_REP.ERR_UNSUP,
    NBD_REP.ERR_TOO_BIG,
    NBD_REP.ERR_UNKNOWN,
    NBD_REP.INFO,
    NBD_REP.INFO,
    NBD_REP.INFO,
    NBD_REP.INFO,
    NBD_REP.ACK,
  ]);
  test.same(whole.rest.toString(), 'the transmission phase', 'no later byte is consumed');
  test.same(whole.result, {
    kind: 'transmission',
    export: first,
    session: { form: 'structured', contexts: [] },
  });
  const bytewise = feed(Array.from(SESSION, (byte) => Buffer.from([byte])));
  test.ok(bytewise.out.equals(whole.out), 'byte by byte');
  test.equal(bytewise.rest.toString(), whole.rest.toString());
  const head = SESSION.indexOf('IHAVEOPTIHAVEOPT') + 64;
  for (let cut = 0; cut < head; cut++) {
    const split = feed([SESSION.subarray(0, cut), SESSION.subarray(cut)]);
    if (!split.out.equals(whole.out)) test.fail(`split at ${cut}`);
  }
  await holds(
    test,
    fc.property(fc.array(fc.integer({ min: 0, max: SESSION.length }), { maxLength: 8 }), (cuts) => {
      const at = [0, ...cuts.toSorted((a, b) => a - b), SESSION.length];
      const split = feed(at.slice(1).map((end, i) => SESSION.subarray(at[i], end)));
      return split.out.equals(whole.out) && split.rest.equals(whole.rest);
    }),
    { seed: 7, numRuns: 200 },
  );
});

await t.test('unknown client flags end the connection', async (test) => {
  for (const flags of [4, 7, 0x80000003, 0xffffffff]) {
    const { error, out } = feed([clientFlags(flags)]);
    test.type(error, ProtocolError, `flags 0x${flags.toString(16)}`);
    test.equal(out.length, 18, 'nothing follows the greeting');
  }
  for (const flags of [0, 1, 2, 3]) test.equal(feed([clientFlags(flags)]).error, undefined);
});

await t.test('without fixed newstyle only NBD_OPT_EXPORT_NAME works', async (test) => {
  for (const flags of [0, 2]) {
    for (const option of [...Object.values(NBD_OPT), 99]) {
      if (option === NBD_OPT.EXPORT_NAME) continue;
      const { error, out } = feed([clientFlags(flags), optionBytes(option, NOTHING, 7)]);
      test.match(error, { code: 'PROTOCOL', message: /without NBD_FLAG_FIXED_NEWSTYLE/ });
      test.equal(out.length, 18, 'an option reply would not be understood');
    }
  }
});

await t.test('NBD_OPT_EXPORT_NAME, with the 124 zeros and without', async (test) => {
  for (const [flags, length] of [
    [0, 134],
    [1, 134],
    [2, 10],
    [3, 10],
  ] as const) {
    const bytes = [clientFlags(flags), optionBytes(NBD_OPT.EXPORT_NAME, Buffer.from('first'))];
    const { out, result, rest } = feed([Buffer.concat([...bytes, Buffer.from('next')])]);
    const reply = out.subarray(18);
    test.equal(reply.length, length);
    test.equal(Number(reply.readBigUInt64BE(0)), SIZE);
    test.equal(reply.readUInt16BE(8), SIMPLE_FLAGS);
    test.ok(reply.subarray(10).every((byte) => byte === 0));
    test.same(result, transmissionOf(first));
    test.equal(rest.toString(), 'next');
  }
  for (const name of ['nobody', 'First', 'first\0', '', 'x'.repeat(MAX_NAME_LENGTH + 1)]) {
    const outcome = shake(optionBytes(NBD_OPT.EXPORT_NAME, Buffer.from(name)));
    test.type(outcome.error, ProtocolError, `${name.slice(0, 10)}: ends the connection`);
    test.equal(outcome.out.length, 18);
  }
  const tooBig = shake(optionBytes(NBD_OPT.EXPORT_NAME, NOTHING, 0xffffffff));
  const message = `a name of 4294967295 bytes, at most ${MAX_NAME_LENGTH}`;
  test.match(tooBig.error, { message, constructor: ProtocolError });
});

await t.test('the empty name means the only export, if there is exactly one', async (test) => {
  const go = Buffer.concat([clientFlags(), optionBytes(NBD_OPT.GO, infoData(''))]);
  const alone = feed([go], new ExportMap([first]));
  test.same(alone.result, transmissionOf(first));
  const two = feed([go], new ExportMap([first, second]));
  test.same(types(two), [NBD_REP.ERR_UNKNOWN]);
  const none = feed([go], new ExportMap([]));
  test.same(types(none), [NBD_REP.ERR_UNKNOWN]);
  const named = new FakeExport(512, '');
  const wins = feed([go], new ExportMap([first, named]));
  test.same(wins.result, transmissionOf(named), 'an export with the empty name comes first');
});

await t.test('NBD_OPT_LIST lists all exports', async (test) => {
  const listed = replies(shake(optionBytes(NBD_OPT.LIST, NOTHING)));
  const names = listed.slice(0, -1).map(({ data }) => {
    const end = 4 + data.readUInt32BE(0);
    return [data.toString('utf8', 4, end), data.toString('utf8', end)];
  });
  test.same(names, [
    ['first', 'one layer'],
    ['zweiter \u{1f4bf}', ''],
  ]);
  test.match(listed.at(-1), { option: NBD_OPT.LIST, type: NBD_REP.ACK, data: NOTHING });
  const malformed = shake(
    optionBytes(NBD_OPT.LIST, Buffer.from('x')),
    optionBytes(NBD_OPT.LIST, NOTHING),
  );
  test.same(types(malformed), [NBD_REP.ERR_INVALID, NBD_REP.SERVER, NBD_REP.SERVER, NBD_REP.ACK]);
  const empty = feed(
    [Buffer.concat([clientFlags(), optionBytes(NBD_OPT.LIST, NOTHING)])],
    tableOf(),
  );
  test.same(types(empty), [NBD_REP.ACK], 'without exports there is no NBD_REP_SERVER');
});

await t.test('NBD_OPT_INFO and NBD_OPT_GO send the requested infos', async (test) => {
  const wanted = [NBD_INFO.DESCRIPTION, NBD_INFO.NAME, NBD_INFO.NAME, NBD_INFO.BLOCK_SIZE, 4711];
  for (const option of [NBD_OPT.INFO, NBD_OPT.GO]) {
    const outcome = shake(optionBytes(option, infoData(second.name, wanted)));
    const infos = replies(outcome);
    test.ok(infos.every((each) => each.option === option));
    test.equal(infos.at(-1)?.type, NBD_REP.ACK);
    const [info, sizes, name, description, ...none] = infos.slice(0, -1).map(({ data }) => data);
    test.same(none, [], 'each info is sent once, even if it was requested twice');
    test.same(info, Buffer.from('000000000000000002000507', 'hex'));
    test.same(sizes, Buffer.from('0003000002000000100002000000', 'hex'));
    test.equal(name?.toString('utf8', 2), second.name);
    test.equal(description?.toString('utf8', 2), '');
    const goes = option === NBD_OPT.GO ? transmissionOf(second) : null;
    test.same(outcome.result, goes);
  }
});

await t.test('malformed INFO and GO are refused, and the next option works', async (test) => {
  const good = infoData('first', [3]);
  const count = (n: number): Buffer => {
    const data = Buffer.from(good);
    data.writeUInt16BE(n, 9);
    return data;
  };
  const name = (n: number): Buffer => {
    const data = Buffer.from(good);
    data.writeUInt32BE(n, 0);
    return data;
  };
  const bad: [string, Buffer][] = [
    ...[0, 1, 3, 4, 5].map((n): [string, Buffer] => [`${n} bytes`, good.subarray(0, n)]),
    ['cut in the name', good.subarray(0, 7)],
    ['cut in the count', good.subarray(0, 10)],
    ['cut in the requests', good.subarray(0, 12)],
    ['a byte too many', Buffer.concat([good, Buffer.from([0])])],
    ['fewer requests than counted', count(2)],
    ['more requests than counted', count(0)],
    ['65535 requests', count(65535)],
    ['a name over the end', name(6)],
    ['a name of 4 GiB', name(0xffffffff)],
    ['a name of 2 GiB', name(0x80000000)],
    ['a name over 4096 bytes', infoData('n'.repeat(MAX_NAME_LENGTH + 1))],
  ];
  for (const [what, data] of bad) {
    for (const option of [NBD_OPT.INFO, NBD_OPT.GO]) {
      const outcome = shake(
        optionBytes(option, Buffer.from(data)),
        optionBytes(NBD_OPT.GO, infoData('first')),
      );
      const [refused, ...next] = types(outcome);
      test.equal(refused, NBD_REP.ERR_INVALID, what);
      test.same(next, [NBD_REP.INFO, NBD_REP.INFO, NBD_REP.ACK]);
      test.equal(outcome.result?.kind, 'transmission');
    }
  }
  const longest = shake(optionBytes(NBD_OPT.GO, infoData('n'.repeat(MAX_NAME_LENGTH))));
  test.same(types(longest), [NBD_REP.ERR_UNKNOWN], 'the longest allowed name is looked up');
  const [reply] = replies(longest);
  test.ok((reply?.data.length ?? 0) < 4096, 'the reply does not repeat it in full');
  const bytes = shake(optionBytes(NBD_OPT.GO, infoData(Buffer.from('ff00fe0a1b5b', 'hex'))));
  test.notMatch(
    replies(bytes)[0]?.data.toString(),
    /\p{Cc}/u,
    'the reply has no control characters',
  );
});

await t.test('options that are not supported get NBD_REP_ERR_UNSUP', async (test) => {
  for (const option of [0, 4, 12, 13, 255, 0x7fffffff, 0xffffffff]) {
    const outcome = shake(
      optionBytes(option, Buffer.alloc(100, 'IHAVEOPT')),
      optionBytes(NBD_OPT.ABORT, NOTHING),
    );
    test.match(replies(outcome), [{ option, type: NBD_REP.ERR_UNSUP }, { type: NBD_REP.ACK }]);
    test.same(outcome.result, { kind: 'abort' });
  }
});

await t.test(
  'an option that is too long is refused at once, and its data is skipped',
  async (test) => {
    const longest = shake(
      optionBytes(77, Buffer.alloc(MAX_OPTION_LENGTH)),
      optionBytes(NBD_OPT.ABORT, NOTHING),
    );
    test.same(types(longest), [NBD_REP.ERR_UNSUP, NBD_REP.ACK], 'the longest one is read');

    const claimed = MAX_HANDSHAKE_BYTES - 100;
    const out: Buffer[] = [];
    const handshake = new Handshake(both, (bytes) => out.push(Buffer.from(bytes)));
    handshake.step(clientFlags());
    const before = process.memoryUsage();
    test.equal(handshake.step(optionBytes(NBD_OPT.GO, NOTHING, claimed)), 16);
    const [, refused] = out;
    test.equal(refused?.readUInt32BE(12), NBD_REP.ERR_TOO_BIG);
    const chunk = Buffer.alloc(1 << 20, 'IHAVEOPT');
    let left = claimed;
    for (; left > chunk.length; left -= chunk.length) {
      if (handshake.step(chunk) !== chunk.length) test.fail('the data is not skipped');
    }
    const end = Buffer.concat([chunk.subarray(0, left), optionBytes(NBD_OPT.ABORT, NOTHING)]);
    test.equal(handshake.step(end), left, 'it is skipped to the last byte');
    const grown = process.memoryUsage().arrayBuffers - before.arrayBuffers;
    test.ok(grown < 8 << 20, `the data is not kept in memory (${grown} bytes)`);
    test.equal(out.length, 2, 'there is no second answer');
    test.equal(handshake.step(end.subarray(left)), 16);
    test.same(handshake.result, { kind: 'abort' });
  },
);

await t.test('a wrong option magic ends the connection', async (test) => {
  const good = optionBytes(NBD_OPT.LIST, NOTHING);
  for (let at = 0; at < 8; at++) {
    const bad = Buffer.from(good);
    bad[at] = (bad[at] ?? 0) ^ 1;
    test.type(shake(bad).error, ProtocolError, `byte ${at}`);
  }
  const old = Buffer.from('00420281861253', 'hex');
  test.type(shake(Buffer.concat([old, Buffer.alloc(16)])).error, ProtocolError, 'oldstyle');
});

await t.test('the number of options is not limited, their total size is', async (test) => {
  const option = optionBytes(NBD_OPT.STRUCTURED_REPLY, NOTHING);
  const many = shake(...Array.from({ length: 5000 }, () => option));
  test.equal(many.error, undefined);
  test.equal(types(many).length, 5000);

  // Options that are read and options that are skipped both count.
  const whole = optionBytes(99, Buffer.alloc(MAX_OPTION_LENGTH));
  const discarded = optionBytes(99, Buffer.alloc(1 << 20));
  for (const each of [whole, discarded]) {
    const most = Math.floor((MAX_HANDSHAKE_BYTES - 4) / each.length);
    const handshake = shaking();
    const say = (): void => {
      for (let at = 0; at < each.length;) at += handshake.step(each.subarray(at));
    };
    for (let i = 0; i < most; i++) say();
    test.throws(say, { code: 'PROTOCOL', message: /33554432 bytes/ });
  }
});

await t.test('random bytes never cause any error but ProtocolError', async (test) => {
  const garbage = fc.array(
    fc.oneof(
      fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)),
      fc
        .tuple(fc.integer({ min: 0, max: 12 }), fc.uint8Array({ maxLength: 24 }))
        .map(([option, data]) => optionBytes(option, Buffer.from(data))),
    ),
    { maxLength: 6 },
  );
  await holds(
    test,
    fc.property(garbage, (chunks) => {
      const { error, result } = feed([clientFlags(), ...chunks]);
      return error === undefined || (error instanceof ProtocolError && result === null);
    }),
    { seed: 11, numRuns: 2000 },
  );
});
