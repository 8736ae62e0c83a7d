// A client's session: a handshake and requests, all well-formed, many of them refused. No mutations.
import {
  NBD_CMD,
  NBD_CMD_FLAG,
  NBD_FLAG_FIXED_NEWSTYLE,
  NBD_FLAG_NO_ZEROES,
  NBD_INFO,
  NBD_OPT,
} from '../../daemon/nbd/constants.js';
import type { ReplyForm } from '../../daemon/nbd/session.js';
import {
  clientFlagsMessage,
  hasPayload,
  infoMessage,
  metaMessage,
  optionMessage,
  requestMessage,
  type Message,
} from './encode.js';
import type { ModelExport } from './model-export.js';
import type { Random } from './random.js';

const KIB = 1024;
const MIB = 1024 * KIB;
const FORMS: readonly ReplyForm[] = ['simple', 'structured', 'structured', 'extended', 'extended'];
const QUERIES = ['base:allocation', 'overlaybd:layer', 'base:', 'overlaybd:', 'x:y', '', ':'];
const INFOS = [
  NBD_INFO.EXPORT,
  NBD_INFO.NAME,
  NBD_INFO.DESCRIPTION,
  NBD_INFO.BLOCK_SIZE,
  4,
  65_535,
];
/** Bytes of replies that one client requests at most, approximately. */
const ENOUGH_BYTES = 3 * MIB;
/** Bytes of one cache request, in an export of which a thousandth is data. */
const MOST_CACHED = 1024 * MIB;

/** A client's whole session, as messages. */
export function planSession(random: Random, exports: readonly ModelExport[]): Message[] {
  const form = random.pick(FORMS);
  const served = random.weighted([6, exports[0]], [3, random.pick(exports)]) as ModelExport;
  const messages = planHandshake(random, form, served, exports);
  const last = messages.at(-1)?.kind;
  if (last !== 'GO' && last !== 'EXPORT_NAME') return messages;
  const plan = random.percent(12) ? planFlood : planRequests;
  messages.push(...plan(random, form, served));
  return messages;
}

function planHandshake(
  random: Random,
  form: ReplyForm,
  served: ModelExport,
  exports: readonly ModelExport[],
): Message[] {
  const { name } = served;
  const fixed = random.percent(97) ? NBD_FLAG_FIXED_NEWSTYLE : 0;
  const flags = fixed | (random.percent(80) ? NBD_FLAG_NO_ZEROES : 0);
  const options: Message[] = [];
  if (form !== 'extended' || random.percent(30)) {
    if (form !== 'simple') options.push(optionMessage(NBD_OPT.STRUCTURED_REPLY));
  }
  if (form === 'extended') options.push(optionMessage(NBD_OPT.EXTENDED_HEADERS));
  if (form !== 'simple' && random.percent(80)) {
    const queries = random.percent(70) ? QUERIES.slice(0, random.between(1, 2)) : someOf(random);
    options.push(metaMessage(NBD_OPT.SET_META_CONTEXT, name, queries));
  }
  const extras = random.weighted([5, 0], [4, random.between(1, 4)], [1, random.between(5, 40)]);
  for (let i = 0; i < extras; i++) {
    options.splice(random.below(options.length + 1), 0, extraOption(random, exports));
  }
  options.unshift(clientFlagsMessage(flags));
  // Extended headers may have been negotiated, and then NBD_OPT_GO must be used.
  const infos = someOf(random, INFOS);
  options.push(
    random.weighted(
      [12, infoMessage(NBD_OPT.GO, name, infos)],
      [form === 'extended' ? 0 : 3, optionMessage(NBD_OPT.EXPORT_NAME, Buffer.from(name))],
      [1, optionMessage(NBD_OPT.ABORT)],
      [1, optionMessage(NBD_OPT.LIST)],
    ),
  );
  return options;
}

function someOf<T = string>(random: Random, of: readonly T[] = QUERIES as unknown as T[]): T[] {
  return Array.from({ length: random.below(4) }, () => random.pick(of));
}

/** An option that changes neither the reply form nor, if possible, anything else. */
function extraOption(random: Random, exports: readonly ModelExport[]): Message {
  const name = random.weighted<string>(
    [6, random.pick(exports).name],
    [2, ''],
    [2, 'nobody'],
    [1, 'n'.repeat(random.between(4090, 4100))],
  );
  return random.weighted(
    [4, optionMessage(NBD_OPT.LIST)],
    [4, infoMessage(NBD_OPT.INFO, name, someOf(random, INFOS))],
    [4, metaMessage(NBD_OPT.LIST_META_CONTEXT, name, someOf(random))],
    [2, metaMessage(NBD_OPT.SET_META_CONTEXT, name, someOf(random))],
    [1, infoMessage(NBD_OPT.GO, 'nobody', [])],
    [1, optionMessage(NBD_OPT.STARTTLS)],
    [1, optionMessage(NBD_OPT.LIST, random.bytes(random.below(9)))],
    [1, optionMessage(NBD_OPT.STRUCTURED_REPLY, Buffer.alloc(1))],
    [1, optionMessage(random.u32() | 64, random.bytes(random.below(100)))],
    [1, optionMessage(4, random.bytes(random.between(16_380, 20_000)))],
  );
}

function planRequests(random: Random, form: ReplyForm, served: ModelExport): Message[] {
  const extended = form === 'extended';
  const many = random.weighted([6, random.below(12)], [3, random.below(60)], [1, 300]);
  const messages: Message[] = [];
  let bytes = 0;
  for (let i = 0; i < many && bytes < ENOUGH_BYTES; i++) {
    const type = random.weighted<number>(
      [60, NBD_CMD.READ],
      [16, NBD_CMD.BLOCK_STATUS],
      [8, NBD_CMD.CACHE],
      [5, NBD_CMD.WRITE],
      [3, random.pick([NBD_CMD.TRIM, NBD_CMD.WRITE_ZEROES])],
      [3, random.pick([NBD_CMD.FLUSH, NBD_CMD.RESIZE, 9, 0x8000, 0xffff])],
    );
    const flags = planFlags(random, extended);
    const cookie = BigInt(random.u32()) * 2n ** 32n + BigInt(i);
    const offset = planOffset(random, served);
    // A payload must be sent too, and needs memory here.
    const length = hasPayload(extended, type, flags)
      ? random.weighted([6, random.below(5000)], [1, random.below(100_000)])
      : mostOf(type, planLength(random, served, offset, extended));
    if (type === NBD_CMD.READ && length <= 33 * MIB) bytes += Number(length);
    messages.push(requestMessage(extended, { type, flags, cookie, offset, length }));
  }
  const goodbye = requestMessage(extended, { type: NBD_CMD.DISC, cookie: 0n });
  if (random.percent(60)) messages.push(goodbye);
  return messages;
}

/** As many requests as the daemon accepts at once, for bytes at hand and bytes that it waits for. */
function planFlood(random: Random, form: ReplyForm, served: ModelExport): Message[] {
  const mood = random.pick(['now', 'late', 'cold']);
  let at = 0;
  for (let i = 0; i < 100 && (i === 0 || served.extentAt(at).segment.mood !== mood); i++) {
    at = Math.floor((random.u32() / 2 ** 32) * served.size);
  }
  const most = Math.min(served.size - at, random.pick([1, 512, 9000, 60_000]));
  const many = Math.min(400, Math.floor(ENOUGH_BYTES / most));
  const type = random.weighted([5, NBD_CMD.READ], [1, NBD_CMD.CACHE]);
  return Array.from({ length: many }, (_, i) =>
    requestMessage(form === 'extended', {
      type,
      cookie: BigInt(i),
      offset: at,
      length: random.between(Math.ceil(most / 2), most),
    }),
  );
}

function planFlags(random: Random, extended: boolean): number {
  const { FUA, DF, REQ_ONE, PAYLOAD_LEN } = NBD_CMD_FLAG;
  return random.weighted(
    [60, 0],
    [10, DF],
    [10, REQ_ONE],
    [4, FUA],
    [4, random.pick([DF | REQ_ONE, DF | FUA, 2, 16, 0x8000])],
    [extended ? 5 : 0, PAYLOAD_LEN],
    [extended ? 1 : 0, PAYLOAD_LEN | random.below(32)],
  );
}

/** Prefetching is rate-limited, and a case has to end. */
function mostOf(type: number, length: number | bigint): number | bigint {
  return type === NBD_CMD.CACHE && length > MOST_CACHED ? MOST_CACHED : length;
}

function planOffset(random: Random, served: ModelExport): number | bigint {
  const { size } = served;
  const anywhere = Math.floor((random.u32() / 2 ** 32) * size);
  const edge = served.extentAt(anywhere).start;
  return random.weighted<number | bigint>(
    [8, anywhere],
    [8, Math.max(0, edge + random.between(-3, 3))],
    [3, Math.min(edge, random.below(1000) * 512)],
    [4, random.pick([0, 1, size - 1, size - 512, size])],
    [1, random.pick([size + 1, 2 ** 32, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n])],
  );
}

function planLength(
  random: Random,
  served: ModelExport,
  offset: number | bigint,
  extended: boolean,
): number | bigint {
  const left = Math.max(0, served.size - Math.min(Number(offset), served.size));
  const limits = [2 ** 32 - 1, 32 * MIB, 32 * MIB + 1, 256 * KIB, 256 * KIB + 1, 512 * KIB];
  const wide = [2 ** 32, 2 ** 40, 2n ** 53n, 2n ** 63n, 2n ** 64n - 1n];
  const within = Math.min(left, 2 ** 32 - 1);
  return random.weighted<number | bigint>(
    [12, Math.min(left, random.below(9000))],
    [6, Math.min(left, 1 + random.below(100_000))],
    [3, Math.min(left, 200_000 + random.below(1_000_000))],
    [3, random.pick([0, 1, 511, 512, 513, within])],
    [1, within + 1 <= 2 ** 32 - 1 ? within + 1 : within],
    [1, random.pick(limits)],
    [extended ? 2 : 0, random.pick(wide)],
    [extended ? 1 : 0, left],
  );
}
