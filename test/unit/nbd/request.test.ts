// Parses requests in both forms.
import t from 'tap';
import { NBD_CMD, NBD_CMD_FLAG } from '../../../daemon/nbd/constants.js';
import { Request, requestSize } from '../../../daemon/nbd/request.js';

function bytes(text: string): DataView {
  const { buffer, byteOffset, length } = Buffer.from(text.replaceAll(' ', ''), 'hex');
  return new DataView(buffer, byteOffset, length);
}

t.equal(requestSize(false), 28);
t.equal(requestSize(true), 32);

const request = new Request();
request.parse(bytes('ff 25609513 0004 0000 0102030405060708 0000000100000002 00000200'), 1, false);
t.match(request, {
  type: NBD_CMD.READ,
  flags: NBD_CMD_FLAG.DF,
  cookieHigh: 0x01020304,
  cookieLow: 0x05060708,
  offsetHigh: 1,
  offsetLow: 2,
  offset: 2 ** 32 + 2,
  length: 512,
});

const kept = request.copy();
request.parse(
  bytes('21e41c71 0000 0007 ffffffffffffffff 0000000000000009 0000000200000001'),
  0,
  true,
);
t.match(request, {
  type: NBD_CMD.BLOCK_STATUS,
  cookieHigh: 0xffff_ffff,
  offset: 9,
  length: 2 ** 33 + 1,
});
t.match(
  kept,
  { cookieLow: 0x05060708, flags: NBD_CMD_FLAG.DF, length: 512 },
  'the parsed values are copies',
);

for (const extended of [false, true]) {
  const other = extended ? '25609513' : '21e41c71';
  const view = bytes(other + '00'.repeat(28));
  t.throws(() => request.parse(view, 0, extended), {
    code: 'PROTOCOL',
    message: `request magic 0x${other}`,
  });
}
