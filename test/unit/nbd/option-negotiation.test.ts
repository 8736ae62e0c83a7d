// Options that change later replies: structured replies, extended headers and metadata contexts, in every order.
import t from 'tap';
import { NBD_FLAG, NBD_INFO, NBD_OPT, NBD_REP } from '../../../daemon/nbd/constants.js';
import { ProtocolError } from '../../../daemon/nbd/errors.js';
import { Handshake, type HandshakeResult } from '../../../daemon/nbd/handshake.js';
import { MAX_NAME_LENGTH, MAX_OPTION_LENGTH } from '../../../daemon/nbd/limits.js';
import { ExportMap } from '../../../daemon/reactor/export-map.js';
import { clientFlags, infoData, optionBytes } from '../../support/nbd-client.js';
import { FakeExport } from './fake-export.js';

const NOTHING = Buffer.alloc(0);
const disk = new FakeExport(1 << 20, 'disk');
const other = new FakeExport(1 << 20, 'other');
const STRUCTURED = optionBytes(NBD_OPT.STRUCTURED_REPLY, NOTHING);
const EXTENDED = optionBytes(NBD_OPT.EXTENDED_HEADERS, NOTHING);
const GO = optionBytes(NBD_OPT.GO, infoData('disk', [NBD_INFO.BLOCK_SIZE]));
const { LIST_META_CONTEXT: LIST, SET_META_CONTEXT: SET } = NBD_OPT;
const { ACK, META_CONTEXT, ERR_INVALID, ERR_UNKNOWN } = NBD_REP;
const ALLOCATION = 'base:allocation';
const LAYER = 'overlaybd:layer';

function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}

function metaData(name: string, queries: readonly string[], count = queries.length): Buffer {
  const parts = queries.map((query) =>
    Buffer.concat([u32(Buffer.byteLength(query)), Buffer.from(query)]),
  );
  return Buffer.concat([u32(Buffer.byteLength(name)), Buffer.from(name), u32(count), ...parts]);
}

const list = (...queries: string[]): Buffer => optionBytes(LIST, metaData('disk', queries));
const set = (...queries: string[]): Buffer => optionBytes(SET, metaData('disk', queries));

interface Reply {
  option: number;
  type: number;
  data: Buffer;
}

/** The result of the options, and the replies after the greeting. */
function handshakeOf(...options: Buffer[]): { out: Buffer; result: HandshakeResult | null } {
  const out: Buffer[] = [];
  const handshake = new Handshake(new ExportMap([disk, other]), (bytes) => out.push(bytes));
  out.length = 0;
  let held = Buffer.concat([clientFlags(), ...options]);
  while (!handshake.result) {
    const used = handshake.step(held);
    if (used === 0) break;
    held = held.subarray(used);
  }
  return { out: Buffer.concat(out), result: handshake.result };
}

function shake(...options: Buffer[]): {
  replies: Reply[];
  types: number[];
  /** Id and name of each metadata context. */
  contexts: [number, string][];
  result: HandshakeResult | null;
} {
  const { out, result } = handshakeOf(...options);
  const replies: Reply[] = [];
  for (let at = 0; at < out.length;) {
    const end = at + 20 + out.readUInt32BE(at + 16);
    const [option, type] = [out.readUInt32BE(at + 8), out.readUInt32BE(at + 12)];
    replies.push({ option, type, data: out.subarray(at + 20, end) });
    at = end;
  }
  return {
    replies,
    types: replies.map(({ type }) => type),
    contexts: replies
      .filter(({ type }) => type === META_CONTEXT)
      .map(({ data }) => [data.readUInt32BE(0), data.toString('utf8', 4)]),
    result,
  };
}

function sessionOf(...options: Buffer[]): [string, string[]] {
  const { result } = handshakeOf(...options);
  if (result?.kind !== 'transmission') throw new Error('no transmission');
  const { form, contexts } = result.session;
  return [form, contexts.map(({ name }) => name)];
}

await t.test('the reply form follows the negotiated options, in every order', async (test) => {
  test.same(sessionOf(GO), ['simple', []]);
  test.same(sessionOf(STRUCTURED, GO), ['structured', []]);
  test.same(
    sessionOf(STRUCTURED, STRUCTURED, GO),
    ['structured', []],
    'asking twice changes nothing',
  );
  test.same(sessionOf(EXTENDED, GO), ['extended', []]);
  test.same(sessionOf(STRUCTURED, EXTENDED, GO), ['extended', []]);
  test.same(sessionOf(EXTENDED, EXTENDED, STRUCTURED, GO), ['extended', []]);
  test.same(shake(STRUCTURED, EXTENDED, EXTENDED).types, [ACK, ACK, NBD_REP.ERR_INVALID]);
  test.same(shake(EXTENDED, STRUCTURED).types, [ACK, NBD_REP.ERR_EXT_HEADER_REQD]);
  for (const option of [NBD_OPT.STRUCTURED_REPLY, NBD_OPT.EXTENDED_HEADERS]) {
    const refused = optionBytes(option, Buffer.from([0]));
    test.same(shake(refused).types, [ERR_INVALID], 'an option with data is refused');
    test.same(sessionOf(refused, GO), ['simple', []], 'and negotiates nothing');
    test.equal(shake(refused).replies[0]?.option, option);
  }
  const invalid = optionBytes(NBD_OPT.STRUCTURED_REPLY, Buffer.from([0]));
  test.same(sessionOf(STRUCTURED, invalid, GO), ['structured', []], 'the earlier agreement stays');
});

await t.test('NBD_FLAG_SEND_DF is set only with structured or extended replies', async (test) => {
  const { HAS_FLAGS, READ_ONLY, SEND_FLUSH, CAN_MULTI_CONN, SEND_CACHE } = NBD_FLAG;
  const always = HAS_FLAGS | READ_ONLY | SEND_FLUSH | CAN_MULTI_CONN | SEND_CACHE;
  test.equal(always, 0x507);
  for (const [options, flags] of [
    [[], always],
    [[STRUCTURED], always | 0x80],
    [[EXTENDED], always | 0x80],
    [[STRUCTURED, EXTENDED], always | 0x80],
  ] as const) {
    for (const option of [NBD_OPT.INFO, NBD_OPT.GO]) {
      const { replies } = shake(...options, optionBytes(option, infoData('disk')));
      const info = replies.find(({ type }) => type === NBD_REP.INFO);
      test.equal(info?.data.readUInt16BE(10), flags);
    }
  }
  const { out } = handshakeOf(STRUCTURED, optionBytes(NBD_OPT.EXPORT_NAME, Buffer.from('disk')));
  test.equal(out.readUInt16BE(20 + 8), always | 0x80, 'also in the reply to NBD_OPT_EXPORT_NAME');
});

await t.test('NBD_OPT_EXPORT_NAME after extended headers ends the connection', async (test) => {
  const name = optionBytes(NBD_OPT.EXPORT_NAME, Buffer.from('disk'));
  test.throws(() => shake(EXTENDED, name), ProtocolError);
  test.throws(() => shake(EXTENDED, STRUCTURED, name), ProtocolError);
  test.same(sessionOf(STRUCTURED, set(ALLOCATION), name), ['structured', [ALLOCATION]]);
});

await t.test('NBD_OPT_LIST_META_CONTEXT lists what its queries match', async (test) => {
  const both = [
    [0, ALLOCATION],
    [0, LAYER],
  ];
  const asked: [string[], unknown[]][] = [
    [[], both],
    [['base:'], [[0, ALLOCATION]]],
    [['overlaybd:'], [[0, LAYER]]],
    [['overlaybd:', 'base:'], both],
    [[ALLOCATION, LAYER, ALLOCATION, 'base:'], both],
    [[LAYER], [[0, LAYER]]],
    [['qemu:', 'qemu:dirty-bitmap:x', LAYER], [[0, LAYER]]],
    [['qemu:allocation-depth'], []],
    [['base:alloc'], []],
    [['base:allocation2'], []],
    [['Base:'], []],
    [['base'], []],
    [[':'], []],
    [[''], []],
    [['*'], []],
    [['base:allocation\0'], []],
  ];
  for (const [queries, contexts] of asked) {
    for (const before of [[], [STRUCTURED], [EXTENDED]]) {
      const got = shake(...before, list(...queries));
      test.same(got.contexts, contexts, JSON.stringify(queries));
      test.equal(got.types.at(-1), ACK);
      test.ok(got.replies.slice(before.length).every(({ option }) => option === LIST));
    }
  }
  test.same(sessionOf(STRUCTURED, list(), GO), ['structured', []], 'listing selects nothing');
  const kept = sessionOf(STRUCTURED, set(LAYER), list(), list('x'), GO);
  test.same(kept, ['structured', [LAYER]], 'listing does not undo a selection');
});

await t.test('NBD_OPT_SET_META_CONTEXT selects what its queries name', async (test) => {
  const one = shake(STRUCTURED, set(LAYER));
  test.same(one.types, [ACK, META_CONTEXT, ACK]);
  const both = shake(EXTENDED, set(LAYER, ALLOCATION, LAYER));
  test.equal(both.contexts.length, 2, 'each context once');
  test.equal(new Set(both.contexts.map(([id]) => id)).size, 2, 'each context has its own id');
  const { result } = shake(EXTENDED, set(LAYER, ALLOCATION), GO);
  const session = result?.kind === 'transmission' ? result.session.contexts : [];
  for (const [id, name] of both.contexts)
    test.equal(session[id]?.name, name, 'the id stands for the same context in transmission');
  for (const queries of [[], ['base:'], ['overlaybd:', 'base:'], ['qemu:x'], ['base:x'], ['']]) {
    const none = shake(STRUCTURED, set(...queries));
    test.same(none.types, [ACK, ACK], 'wildcards and unknown contexts select nothing');
    test.same(sessionOf(STRUCTURED, set(...queries), GO)[1], []);
  }
  test.same(sessionOf(STRUCTURED, set('base:', LAYER, 'x:y'), GO)[1], [LAYER]);
});

await t.test('a later SET_META_CONTEXT replaces the selection or clears it', async (test) => {
  const before = [STRUCTURED, set(LAYER, ALLOCATION)];
  const after = (...options: Buffer[]): string[] => sessionOf(...before, ...options, GO)[1];
  test.same(after(), [ALLOCATION, LAYER]);
  test.same(after(set(LAYER)), [LAYER]);
  test.same(after(set()), []);
  test.same(after(set('base:')), []);
  const unknown = optionBytes(SET, metaData('nobody', [LAYER]));
  test.same(shake(...before, unknown).types.at(-1), ERR_UNKNOWN);
  test.same(after(unknown), []);
  test.same(after(optionBytes(SET, NOTHING)), [], 'a malformed one clears it');
  test.same(after(optionBytes(SET, metaData('disk', [LAYER], 2))), []);
  test.same(
    after(optionBytes(SET, Buffer.alloc(MAX_OPTION_LENGTH + 1))),
    [],
    'one that is too long clears it',
  );
  test.same(after(unknown, set(ALLOCATION)), [ALLOCATION], 'contexts can be selected again');
  test.same(after(EXTENDED), [ALLOCATION, LAYER], 'extended headers afterwards keep the selection');
});

await t.test('NBD_OPT_SET_META_CONTEXT before structured replies is refused', async (test) => {
  test.same(shake(set(LAYER)).types, [ERR_INVALID]);
  test.same(sessionOf(set(LAYER), STRUCTURED, GO), ['structured', []]);
});

await t.test('contexts that were selected for another export do not count', async (test) => {
  const elsewhere = optionBytes(SET, metaData('other', [LAYER]));
  test.same(shake(STRUCTURED, elsewhere).types, [ACK, META_CONTEXT, ACK]);
  test.same(sessionOf(STRUCTURED, elsewhere, GO)[1], []);
  test.same(
    sessionOf(STRUCTURED, set(LAYER), elsewhere, GO)[1],
    [],
    'only the last NBD_OPT_SET_META_CONTEXT counts',
  );
  test.same(sessionOf(STRUCTURED, elsewhere, set(LAYER), GO)[1], [LAYER]);
  const info = optionBytes(NBD_OPT.INFO, infoData('other'));
  test.same(
    sessionOf(STRUCTURED, set(LAYER), info, GO)[1],
    [LAYER],
    'NBD_OPT_INFO does not change the selection',
  );
});

await t.test('malformed queries are refused, and the next option works', async (test) => {
  const good = metaData('disk', [ALLOCATION, LAYER]);
  const patched = (at: number, value: number): Buffer => {
    const data = Buffer.from(good);
    data.writeUInt32BE(value, at);
    return data;
  };
  const [nameLength, count, firstLength, secondLength] = [0, 8, 12, 31] as const;
  test.equal(good.readUInt32BE(secondLength), LAYER.length);
  const bad: [string, Buffer][] = [
    ...Array.from({ length: good.length }, (_, n): [string, Buffer] => [
      `cut at ${n}`,
      good.subarray(0, n),
    ]),
    ['a byte too many', Buffer.concat([good, Buffer.from([0])])],
    ['a query too many', Buffer.concat([good, u32(0)])],
    ['fewer queries than counted', patched(count, 3)],
    ['more queries than counted', patched(count, 1)],
    ['queries, but the count is 0', patched(count, 0)],
  ];
  for (const giant of [0x10000, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff]) {
    for (const at of [nameLength, count, firstLength, secondLength]) {
      bad.push([`${giant} at ${at}`, patched(at, giant)]);
    }
  }
  for (const [at, value] of [
    [nameLength, 5],
    [nameLength, 3],
    [firstLength, 14],
    [firstLength, 16],
    [secondLength, 14],
    [secondLength, 16],
  ] as const) {
    bad.push([`${value} at ${at}`, patched(at, value)]);
  }
  bad.push(['a long name', metaData('n'.repeat(MAX_NAME_LENGTH + 1), [LAYER])]);
  bad.push(['a long query', metaData('disk', ['q'.repeat(MAX_NAME_LENGTH + 1)])]);
  for (const [what, data] of bad) {
    for (const option of [LIST, SET]) {
      const got = shake(STRUCTURED, optionBytes(option, Buffer.from(data)), GO);
      test.same(got.types.slice(0, 2), [ACK, ERR_INVALID], what);
      test.match(got.result, { session: { form: 'structured', contexts: [] } });
    }
  }
});

await t.test('as many queries as fit into an option are accepted', async (test) => {
  const most = Math.floor((MAX_OPTION_LENGTH - 12) / 4);
  const many = metaData('disk', Array<string>(most).fill(''));
  test.ok(many.length <= MAX_OPTION_LENGTH);
  test.same(shake(STRUCTURED, optionBytes(SET, many)).types, [ACK, ACK]);
  const longest = metaData('disk', ['q'.repeat(MAX_NAME_LENGTH), LAYER]);
  test.same(shake(STRUCTURED, optionBytes(SET, longest)).contexts, [[0, LAYER]]);
  const name = metaData('n'.repeat(MAX_NAME_LENGTH), [LAYER]);
  test.same(shake(STRUCTURED, optionBytes(LIST, name)).types, [ACK, ERR_UNKNOWN]);
  const before = process.memoryUsage().arrayBuffers;
  const claims = Array.from({ length: 50 }, () =>
    optionBytes(LIST, metaData('disk', [], 2 ** 32 - 1)),
  );
  test.ok(shake(...claims).types.every((type) => type === ERR_INVALID));
  test.ok(
    process.memoryUsage().arrayBuffers - before < 4 << 20,
    'a huge query count allocates no memory',
  );
});
