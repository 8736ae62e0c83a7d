// TLS in the handshake parser: what each mode answers before and after TLS, and what TLS resets; no sockets, no TLS.
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

/** Runs the handshake as a connection does; TLS succeeds at once when it is agreed on. */
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

/** Every option of the protocol and a few unknown ones, with valid data or none. */
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

await t.test('with TLS off, STARTTLS is refused and all other options work', async (test) => {
  const shaking = new Shaking('off');
  test.same(shaking.feed(STARTTLS), [[NBD_OPT.STARTTLS, NBD_REP.ERR_POLICY]]);
  test.notOk(shaking.handshake.startsTls);
  const withData = optionBytes(NBD_OPT.STARTTLS, Buffer.from('x'));
  test.same(shaking.feed(withData), [[NBD_OPT.STARTTLS, NBD_REP.ERR_INVALID]]);
  shaking.feed(GO);
  test.equal(shaking.handshake.result?.kind, 'transmission');
  for (const other of OTHERS) {
    const types = new Shaking('off').feed(other).map(([, type]) => type);
    test.notOk(
      types.includes(NBD_REP.ERR_TLS_REQD),
      'NBD_REP_ERR_TLS_REQD is not allowed if the server has no TLS',
    );
  }
});

await t.test('with TLS on, clients may use TLS or not', async (test) => {
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
  test.equal(secure.handshake.step(NOTHING), 0, 'the handshake waits for TLS');
  secure.handshake.secured();
  secure.feed(GO);
  test.equal(secure.handshake.result?.kind, 'transmission');
});

await t.test('with TLS required, only STARTTLS and ABORT work before TLS', async (test) => {
  for (const other of OTHERS) {
    const shaking = new Shaking('require');
    const option = other.readUInt32BE(8);
    test.same(shaking.feed(other, other), [
      [option, NBD_REP.ERR_TLS_REQD],
      [option, NBD_REP.ERR_TLS_REQD],
    ]);
    test.equal(shaking.handshake.result, null);
    test.same(
      shaking.feed(STARTTLS),
      [[NBD_OPT.STARTTLS, NBD_REP.ACK]],
      'STARTTLS still works after refused options',
    );
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
    test.same(shaking.replies(), [], 'nothing is answered');
  }
  const leaving = new Shaking('require');
  test.same(leaving.feed(optionBytes(NBD_OPT.ABORT, NOTHING)), [[NBD_OPT.ABORT, NBD_REP.ACK]]);
  test.same(leaving.handshake.result, { kind: 'abort' });
});

await t.test('inside TLS all options work, and a second STARTTLS is refused', async (test) => {
  for (const mode of ['on', 'require'] as const) {
    const shaking = new Shaking(mode);
    shaking.feed(STARTTLS);
    shaking.handshake.secured();
    test.same(
      shaking.feed(STARTTLS),
      [[NBD_OPT.STARTTLS, NBD_REP.ERR_INVALID]],
      'a second STARTTLS is refused',
    );
    test.notOk(shaking.handshake.startsTls);
    for (const other of OTHERS) {
      if (other === GO) continue;
      const types = shaking.feed(other).map(([, type]) => type);
      test.notOk(
        types.includes(NBD_REP.ERR_TLS_REQD),
        'NBD_REP_ERR_TLS_REQD is not allowed inside TLS',
      );
    }
    shaking.feed(GO);
    test.equal(shaking.handshake.result?.kind, 'transmission');
  }
});

await t.test('STARTTLS with data is refused, and a correct one works afterwards', async (test) => {
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

await t.test('bytes that follow STARTTLS in plain text end the connection', async (test) => {
  for (const mode of ['on', 'require'] as const) {
    for (const injected of [
      GO,
      Buffer.from([0x16]),
      optionBytes(NBD_OPT.ABORT, NOTHING),
      STARTTLS,
    ]) {
      const shaking = new Shaking(mode);
      test.throws(() => shaking.feed(STARTTLS, injected), ProtocolError);
      test.same(shaking.replies(), [[NBD_OPT.STARTTLS, NBD_REP.ACK]], 'only STARTTLS is answered');
      test.equal(shaking.handshake.result, null);
    }
  }
});

await t.test('everything that was agreed on before TLS is forgotten', async (test) => {
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
  test.same(
    again.at(0),
    [NBD_OPT.STRUCTURED_REPLY, NBD_REP.ACK],
    'structured replies are agreed on again',
  );
  test.same(again.at(-1), [NBD_OPT.SET_META_CONTEXT, NBD_REP.ACK]);
});

function u32(value: number): Buffer {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(value);
  return out;
}
