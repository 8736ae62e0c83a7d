// Clients of other protocols, recognized by their first bytes, and the handshake's error for them.
import t from 'tap';
import { Handshake } from '../../../daemon/nbd/handshake.js';
import { tableOf } from './fake-export.js';

await t.test('known protocols are recognized, and unknown bytes are not', async (test) => {
  const said: [bytes: string | number[], reason: RegExp][] = [
    ['GET / HTTP/1.1\r\n', /^sent HTTP to a plain NBD port; /],
    ['POST /', /^sent HTTP to a plain NBD port; /],
    ['HEAD /', /^sent HTTP to a plain NBD port; /],
    ['OPTIONS *', /^sent HTTP to a plain NBD port; /],
    ['CONNECT x:1', /^sent HTTP to a plain NBD port; /],
    ['PRI * HTTP/2.0', /^sent HTTP to a plain NBD port; /],
    [[0x16, 3, 1, 2, 0, 1], /^sent TLS to a plain NBD port; .*NBD_OPT_STARTTLS/],
    [[0x16, 3, 3, 0, 80, 1], /^sent TLS to a plain NBD port; /],
    ['SSH-2.0-x', /^sent SSH to a plain NBD port; /],
    [[0, 0, 0, 4], /^client flags 0x4: unknown bits$/],
    ['get ', /^sent text to a plain NBD port; /],
    ['PROPFIND / HTTP/1.1', /^sent text to a plain NBD port; /],
    ['\r\n\r\n', /^sent text to a plain NBD port; /],
    [[0, 0x41, 0x41, 0x41], /^client flags 0x414141: unknown bits$/],
    [[0x16, 4, 0, 0], /^client flags 0x16040000: unknown bits$/],
  ];
  for (const [bytes, reason] of said) {
    const handshake = new Handshake(tableOf(), () => undefined);
    test.throws(() => handshake.step(Buffer.from(bytes as string)), {
      code: 'PROTOCOL',
      message: reason,
    });
  }
});
