// The well-behaved client that comes after the others: reads bytes that are always at hand, in every form, and
// sometimes makes a read that needs its own memory.
import { NBD_CMD, NBD_OPT } from '../../daemon/nbd/constants.js';
import { clientFlagsMessage, infoMessage, optionMessage, requestMessage } from './encode.js';
import type { Random } from './random.js';
import type { Script } from './script.js';

/** Bytes at the beginning of the export that are data and always at hand. */
const AT_HAND = 600 * 1024;
const LONG = 300 * 1024;

export function healthyScript(random: Random, number: number): Script {
  const extended = number % 3 === 2;
  const messages = [clientFlagsMessage(3)];
  if (extended) messages.push(optionMessage(NBD_OPT.EXTENDED_HEADERS));
  else if (number % 3 === 1) messages.push(optionMessage(NBD_OPT.STRUCTURED_REPLY));
  messages.push(infoMessage(NBD_OPT.GO, 'mixed', []));
  for (let i = 0; i < 3; i++) {
    const length = i === 0 && number % 8 === 0 ? LONG : random.between(1, 5000);
    const offset = random.below(AT_HAND - length);
    messages.push(
      requestMessage(extended, { type: NBD_CMD.READ, cookie: BigInt(i), offset, length }),
    );
  }
  messages.push(requestMessage(extended, { type: NBD_CMD.DISC, cookie: 9n }));
  const bytes = Buffer.concat(messages.map((message) => message.bytes));
  return {
    bytes,
    kinds: [],
    mutations: [],
    pieces: [bytes.length],
    pauses: [0],
    reader: { from: 0, bytes: 1 << 20, every: 1 },
    leave: { kind: 'answered', at: bytes.length },
  };
}
