// TLS in the handshake parser: what each mode answers before and after, and what is forgotten; no sockets, no TLS.
import t from 'tap';
import { NBD_OPT, NBD_REP } from '../../../daemon/nbd/constants.js';
import { ProtocolError } from '../../../daemon/nbd/errors.js';
import { Handshake, type TlsMode } from '../../../daemon/nbd/handshake.js';
import { MAX_OPTION_LENGTH } from '../../../daemon/nbd/limits.js';
import { clientFlags, infoData, optionBytes } from '../../support/nbd-client.js';
import { FakeExport, tableOf } from './fake-export.js';

const NOTHING = Buffer.alloc(0);
const fake = new FakeExport(1 << 20, 'disk');
const STARTTLS = optionBytes(NBD_OPT.STARTTLS, NOTHING);
const GO = optionBytes(NBD_OPT.GO, infoData('disk'));

/** As a connection uses it, with TLS that succeeds at once where it is agreed on. */
class Shaking {
  readonly handshake: Handshake;
  #out: Buffer[] = [];

  constructor(mode: TlsMode) {
    this.handshake = new Handshake(tableOf(fake), (bytes) => this.#out.push(bytes), mode);
    this.#out = [];
    this.feed(clientFlags());
  }

  /** @returns type and option of every reply */
  feed(...parts: Buffer[]): [number, number][] {
    let held = Buffer.concat(parts);
    while (!this.handshake.result) {
      const used = this.handshake.step(held);
      if (used === 0) break;
      held = held.subarray(used);
    }
    return this.replies();
  }

  replies(): [number, number][] {
    const out = Buffer.concat(this.#out);
    this.#out = [];
    const all: [number, number][] = [];
    for (let at = 0; at < out.length; at += 20 + out.readUInt32BE(at + 16)) {
      all.push([out.readUInt32BE(at + 8), out.readUInt32BE(at + 12)]);
    }
    return all;
  }
}

/** Every option that there is, and some that there are not, with data that makes sense or none. */
const OTHERS = [
  optionBytes(NBD_OPT.LIST, NOTHING),
  optionBytes(NBD_OPT.INFO, infoData('disk')),
  optionBytes(NBD_OPT.INFO, infoData('nobody')),
  GO,
  optionBytes(NBD_OPT.GO, infoData('nobody')),
  optionBytes(NBD_OPT.STRUCTURED_REPLY, NOTHING),
  optionBytes(NBD_OPT.STRUCTURED_REPLY, Buffer.from('x')),
  optionBytes(NBD_OPT.EXTENDED_HEADERS, NOTHING),
  optionBytes(NBD_OPT.LIST_META_CONTEXT, NOTHING),
  optionBytes(NBD_OPT.SET_META_CONTEXT, NOTHING),
  optionBytes(4, NOTHING),
  optionBytes(0, Buffer.alloc(100)),
  optionBytes(0xffffffff, NOTHING),
];

await t.test('off', async (test) => {
  const shaking = new Shaking('off');
  test.same(shaking.feed(STARTTLS), [[NBD_OPT.STARTTLS, NBD_REP.ERR_POLICY]]);
  test.notOk(shaking.handshake.startsTls);
  const withData = optionBytes(NBD_OPT.STARTTLS, Buffer.from('x'));
  test.same(shaking.feed(withData), [[NBD_OPT.STARTTLS, NBD_REP.ERR_INVALID]]);
  shaking.feed(GO);
  test.equal(shaking.handshake.result?.kind, 'transmission');
  for (const other of OTHERS) {
    const types = new Shaking('off').feed(other).map(([, type]) => type);
    test.notOk(types.includes(NBD_REP.ERR_TLS_REQD), 'forbidden without TLS');
  }
});

await t.test('on: with or without', async (test) => {
  const plain = new Shaking('on');
  plain.feed(GO);
  test.equal(plain.handshake.result?.kind, 'transmission');
  for (const other of OTHERS) {
    const types = new Shaking('on').feed(other).map(([, type]) => type);
    test.notOk(types.includes(NBD_REP.ERR_TLS_REQD));
  }
  const secure = new Shaking('on');
  test.same(secure.feed(STARTTLS), [[NBD_OPT.STARTTLS, NBD_REP.ACK]]);
  test.ok(secure.handshake.startsTls);
  test.equal(secure.handshake.step(NOTHING), 0, 'waits');
  secure.handshake.secured();
  secure.feed(GO);
  test.equal(secure.handshake.result?.kind, 'transmission');
});

await t.test('require: nothing but STARTTLS and ABORT', async (test) => {
  for (const other of OTHERS) {
    const shaking = new Shaking('require');
    const option = other.readUInt32BE(8);
    test.same(shaking.feed(other, other), [
      [option, NBD_REP.ERR_TLS_REQD],
      [option, NBD_REP.ERR_TLS_REQD],
    ]);
    test.equal(shaking.handshake.result, null);
    test.same(shaking.feed(STARTTLS), [[NBD_OPT.STARTTLS, NBD_REP.ACK]], 'not too late');
  }
  const long = new Shaking('require');
  const data = Buffer.alloc(MAX_OPTION_LENGTH + 1);
  test.same(long.feed(optionBytes(77, data), STARTTLS), [
    [77, NBD_REP.ERR_TLS_REQD],
    [NBD_OPT.STARTTLS, NBD_REP.ACK],
  ]);
  const names: [string, Buffer][] = [
    ['known', Buffer.from('disk')],
    ['unknown', Buffer.from('nobody')],
    ['empty', NOTHING],
    ['too long', data],
  ];
  for (const [what, name] of names) {
    const shaking = new Shaking('require');
    test.throws(() => shaking.feed(optionBytes(NBD_OPT.EXPORT_NAME, name)), ProtocolError, what);
    test.same(shaking.replies(), [], 'no word');
  }
  const leaving = new Shaking('require');
  test.same(leaving.feed(optionBytes(NBD_OPT.ABORT, NOTHING)), [[NBD_OPT.ABORT, NBD_REP.ACK]]);
  test.same(leaving.handshake.result, { kind: 'abort' });
});

await t.test('inside TLS', async (test) => {
  for (const mode of ['on', 'require'] as const) {
    const shaking = new Shaking(mode);
    shaking.feed(STARTTLS);
    shaking.handshake.secured();
    test.same(shaking.feed(STARTTLS), [[NBD_OPT.STARTTLS, NBD_REP.ERR_INVALID]], 'once only');
    test.notOk(shaking.handshake.startsTls);
    for (const other of OTHERS) {
      if (other === GO) continue;
      const types = shaking.feed(other).map(([, type]) => type);
      test.notOk(types.includes(NBD_REP.ERR_TLS_REQD), 'forbidden from here on');
    }
    shaking.feed(GO);
    test.equal(shaking.handshake.result?.kind, 'transmission');
  }
});

await t.test('STARTTLS with data is refused, and may be tried again', async (test) => {
  for (const mode of ['on', 'require'] as const) {
    const shaking = new Shaking(mode);
    for (const length of [1, 16, MAX_OPTION_LENGTH]) {
      const bytes = optionBytes(NBD_OPT.STARTTLS, Buffer.alloc(length, 'IHAVEOPT'));
      test.same(shaking.feed(bytes), [[NBD_OPT.STARTTLS, NBD_REP.ERR_INVALID]]);
    }
    const long = optionBytes(NBD_OPT.STARTTLS, Buffer.alloc(MAX_OPTION_LENGTH + 1));
    test.same(shaking.feed(long), [[NBD_OPT.STARTTLS, NBD_REP.ERR_TOO_BIG]]);
    test.same(shaking.feed(STARTTLS), [[NBD_OPT.STARTTLS, NBD_REP.ACK]]);
  }
});

await t.test('bytes behind STARTTLS end the connection', async (test) => {
  for (const mode of ['on', 'require'] as const) {
    for (const injected of [
      GO,
      Buffer.from([0x16]),
      optionBytes(NBD_OPT.ABORT, NOTHING),
      STARTTLS,
    ]) {
      const shaking = new Shaking(mode);
      test.throws(() => shaking.feed(STARTTLS, injected), ProtocolError);
      test.same(shaking.replies(), [[NBD_OPT.STARTTLS, NBD_REP.ACK]], 'nothing else is answered');
      test.equal(shaking.handshake.result, null);
    }
  }
});

await t.test('what was agreed on before TLS is forgotten', async (test) => {
  const set = Buffer.concat([
    u32(4),
    Buffer.from('disk'),
    u32(1),
    u32(15),
    Buffer.from('base:allocation'),
  ]);
  const before = [
    optionBytes(NBD_OPT.STRUCTURED_REPLY, NOTHING),
    optionBytes(NBD_OPT.SET_META_CONTEXT, set),
  ];
  const plain = new Shaking('on');
  plain.feed(...before, GO);
  test.match(plain.handshake.result, {
    session: { form: 'structured', contexts: [{ name: 'base:allocation' }] },
  });
  const secure = new Shaking('on');
  secure.feed(...before, STARTTLS);
  secure.handshake.secured();
  secure.feed(GO);
  test.match(secure.handshake.result, { session: { form: 'simple', contexts: [] } });

  const extended = new Shaking('on');
  extended.feed(optionBytes(NBD_OPT.EXTENDED_HEADERS, NOTHING), STARTTLS);
  extended.handshake.secured();
  const again = extended.feed(...before);
  test.same(again.at(0), [NBD_OPT.STRUCTURED_REPLY, NBD_REP.ACK], 'agreed on anew');
  test.same(again.at(-1), [NBD_OPT.SET_META_CONTEXT, NBD_REP.ACK]);
});

function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}
