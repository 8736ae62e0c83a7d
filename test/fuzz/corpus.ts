// The first cases of every run, and starting points of mutations: sessions that go through everything in order, made by
// the encoder.
import { NBD_CMD, NBD_CMD_FLAG, NBD_INFO, NBD_OPT } from '../../daemon/nbd/constants.js';
import type { ReplyForm } from '../../daemon/nbd/session.js';
import {
  clientFlagsMessage,
  infoMessage,
  metaMessage,
  optionMessage,
  requestMessage,
  type Message,
} from './encode.js';

const KIB = 1024;
const CONTEXTS = ['base:allocation', 'overlaybd:layer'];
const INFOS = Object.values(NBD_INFO);
/** Of 777 bytes. */
const ODD = 'odd \u00e9';
const { DF, REQ_ONE, FUA, PAYLOAD_LEN } = NBD_CMD_FLAG;

type Ask = [type: number, flags: number, offset: number, length: number];

function negotiation(form: ReplyForm, name = 'mixed'): Message[] {
  if (form === 'simple') return [];
  const code = form === 'extended' ? NBD_OPT.EXTENDED_HEADERS : NBD_OPT.STRUCTURED_REPLY;
  return [optionMessage(code), metaMessage(NBD_OPT.SET_META_CONTEXT, name, CONTEXTS)];
}

/** Every option of the protocol, then nothing more. */
function everyOption(): Message[] {
  return [
    clientFlagsMessage(3),
    optionMessage(NBD_OPT.LIST),
    infoMessage(NBD_OPT.INFO, 'mixed', INFOS),
    infoMessage(NBD_OPT.INFO, 'nobody', INFOS),
    metaMessage(NBD_OPT.LIST_META_CONTEXT, 'mixed', []),
    metaMessage(NBD_OPT.SET_META_CONTEXT, 'mixed', CONTEXTS),
    optionMessage(NBD_OPT.STRUCTURED_REPLY),
    metaMessage(NBD_OPT.LIST_META_CONTEXT, 'mixed', ['base:', 'overlaybd:']),
    metaMessage(NBD_OPT.SET_META_CONTEXT, 'mixed', CONTEXTS),
    optionMessage(NBD_OPT.STARTTLS),
    optionMessage(4, Buffer.alloc(20_000)),
    optionMessage(NBD_OPT.EXTENDED_HEADERS),
    optionMessage(NBD_OPT.STRUCTURED_REPLY),
    optionMessage(NBD_OPT.ABORT),
  ];
}

/** Every command, with its allowed flags and with one that is not allowed. */
function everyCommand(form: ReplyForm): Message[] {
  const extended = form === 'extended';
  const withPayload: Ask[] = [
    [NBD_CMD.WRITE, PAYLOAD_LEN, 0, 70_000],
    [NBD_CMD.READ, PAYLOAD_LEN, 0, 33],
  ];
  const requests: Ask[] = [
    [NBD_CMD.READ, 0, 0, 5000],
    [NBD_CMD.READ, FUA, 699 * 512 + 3, 10_000],
    [NBD_CMD.READ, DF, 690 * 512, 20_000],
    [NBD_CMD.READ, 0, 0, 600 * KIB],
    [NBD_CMD.READ, DF, 0, 600 * KIB],
    [NBD_CMD.READ, 0, 1200 * 512, 200 * KIB],
    [NBD_CMD.READ, 0, 1024 * KIB, 1024 * KIB],
    [NBD_CMD.READ, 0, 2048 * KIB - 1, 2],
    [NBD_CMD.READ, 0, 0, 0],
    [NBD_CMD.READ, 0, 2048 * KIB, 1],
    [NBD_CMD.BLOCK_STATUS, 0, 0, 2048 * KIB],
    [NBD_CMD.BLOCK_STATUS, REQ_ONE, 700 * 512 - 1, 2048],
    [NBD_CMD.BLOCK_STATUS, DF, 0, 512],
    [NBD_CMD.CACHE, 0, 0, 1024 * KIB],
    [NBD_CMD.CACHE, 0, 1024 * KIB, 1024 * KIB],
    [NBD_CMD.WRITE, 0, 0, 700],
    [NBD_CMD.TRIM, 0, 0, 512],
    [NBD_CMD.WRITE_ZEROES, 0, 0, 512],
    [NBD_CMD.FLUSH, 0, 0, 0],
    [77, 0, 0, 0],
    ...(extended ? withPayload : []),
    [NBD_CMD.DISC, 0, 0, 0],
  ];
  return requests.map(([type, flags, offset, length], i) =>
    requestMessage(extended, { type, flags, offset, length, cookie: BigInt(i) << 33n }),
  );
}

function wholeSession(form: ReplyForm): Message[] {
  const go = infoMessage(NBD_OPT.GO, 'mixed', INFOS);
  return [clientFlagsMessage(3), ...negotiation(form), go, ...everyCommand(form)];
}

function oldClient(): Message[] {
  const requests = everyCommand('simple').slice(0, 3);
  return [
    clientFlagsMessage(1),
    optionMessage(NBD_OPT.EXPORT_NAME, Buffer.from('mixed')),
    ...requests,
  ];
}

function ask(type: number, offset: number, length: number, cookie: bigint): Message {
  return requestMessage(true, { type, offset, length, cookie });
}

/** Ranges that are far larger than what is stored in them. */
function hugeRanges(name: string, size: number): Message[] {
  return [
    clientFlagsMessage(3),
    optionMessage(NBD_OPT.EXTENDED_HEADERS),
    metaMessage(NBD_OPT.SET_META_CONTEXT, name, CONTEXTS),
    infoMessage(NBD_OPT.GO, name, []),
    ask(NBD_CMD.BLOCK_STATUS, 0, size, 1n),
    ask(NBD_CMD.READ, size / 2 - 1, 32 * KIB * KIB, 2n),
    ask(NBD_CMD.CACHE, 0, size, 3n),
    ask(NBD_CMD.DISC, 0, 0, 4n),
  ];
}

/** The last sector of an export whose size is not a multiple of a sector, as clients see it that count in sectors. */
function lastSector(form: ReplyForm, told: Message): Message[] {
  const extended = form === 'extended';
  const requests: Ask[] = [
    [NBD_CMD.READ, 0, 0, 1024],
    [NBD_CMD.READ, 0, 512, 512],
    [NBD_CMD.READ, 0, 776, 2],
    [NBD_CMD.READ, 0, 777, 247],
    [NBD_CMD.READ, extended ? DF : 0, 700, 324],
    [NBD_CMD.READ, 0, 1023, 2],
    [NBD_CMD.CACHE, 0, 0, 1024],
    [NBD_CMD.CACHE, 0, 1000, 24],
    [NBD_CMD.BLOCK_STATUS, 0, 0, 1024],
    [NBD_CMD.BLOCK_STATUS, 0, 800, 100],
    [NBD_CMD.BLOCK_STATUS, REQ_ONE, 0, 1024],
    [NBD_CMD.DISC, 0, 0, 0],
  ];
  return [
    clientFlagsMessage(3),
    ...negotiation(form, ODD),
    told,
    ...requests.map(([type, flags, offset, length], i) =>
      requestMessage(extended, { type, flags, offset, length, cookie: BigInt(i) }),
    ),
  ];
}

/** Like a client that lists a thousand exports: every option is answered. */
function manyOptions(): Message[] {
  const list = optionMessage(NBD_OPT.LIST);
  const info = infoMessage(NBD_OPT.INFO, 'mixed', INFOS);
  return [clientFlagsMessage(3), list, ...Array.from({ length: 1000 }, () => info)];
}

/** More bytes than a handshake may have. */
function manyBytes(): Message[] {
  const discarded = optionMessage(4, Buffer.alloc(1 << 20));
  return [clientFlagsMessage(3), ...Array.from({ length: 33 }, () => discarded)];
}

/** Writes that clients send in spite of the read-only flag, up to the longest, and requests after them. */
function refusedWrites(form: ReplyForm): Message[] {
  const extended = form === 'extended';
  const flags = extended ? PAYLOAD_LEN : 0;
  const requests: Ask[] = [0, 1, 512, 256 * KIB, 256 * KIB + 1, 2048 * KIB].flatMap((length) => [
    [NBD_CMD.WRITE, flags, 0, length],
    [NBD_CMD.READ, 0, 5, 5],
  ]);
  const messages = requests.map(([type, flag, offset, length], i) =>
    requestMessage(extended, { type, flags: flag, offset, length, cookie: BigInt(i) }),
  );
  const go = infoMessage(NBD_OPT.GO, 'mixed', INFOS);
  return [clientFlagsMessage(3), ...negotiation(form), go, ...messages];
}

/** Old clients, with the 124 zeros and without; and one that asks for more than it may. */
function plainNewstyle(flags: number, options: Message[]): Message[] {
  const name = optionMessage(NBD_OPT.EXPORT_NAME, Buffer.from('mixed'));
  return [clientFlagsMessage(flags), ...options, name, ...everyCommand('simple')];
}

export const CORPUS: readonly (() => Message[])[] = [
  everyOption,
  () => wholeSession('simple'),
  () => wholeSession('structured'),
  () => wholeSession('extended'),
  oldClient,
  () => hugeRanges('huge', 2 ** 34),
  () => hugeRanges('void', 2 ** 50),
  () => lastSector('simple', optionMessage(NBD_OPT.EXPORT_NAME, Buffer.from(ODD))),
  () => lastSector('structured', infoMessage(NBD_OPT.GO, ODD, [])),
  () => lastSector('extended', infoMessage(NBD_OPT.GO, ODD, [])),
  () => lastSector('structured', infoMessage(NBD_OPT.GO, ODD, [NBD_INFO.BLOCK_SIZE])),
  manyOptions,
  manyBytes,
  () => refusedWrites('simple'),
  () => refusedWrites('structured'),
  () => refusedWrites('extended'),
  () => plainNewstyle(0, []),
  () => plainNewstyle(2, []),
  () => plainNewstyle(0, [optionMessage(NBD_OPT.LIST)]),
];
