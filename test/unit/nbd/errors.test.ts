// What a client learns of a failure: a number of the protocol, and a sentence without paths.
import t from 'tap';
import { OverlaybdError } from '../../../daemon/errors.js';
import { NBD_EIO, NBD_ENOMEM } from '../../../daemon/nbd/constants.js';
import { ProtocolError, describeFailure, nbdErrno } from '../../../daemon/nbd/errors.js';

t.match(new ProtocolError('no magic'), { code: 'PROTOCOL', name: 'ProtocolError' });

for (const [code, words] of [
  ['BAD_CHECKSUM', /checksum does not match/],
  ['BAD_DATA', /does not decode/],
  ['SHORT_READ', /ends before its data/],
  ['IO', /cannot be read/],
  ['LIMIT', /^the read failed;/],
] as const) {
  const error = new OverlaybdError(code, '/secret/path: more than clients may know');
  t.match(describeFailure(error), words);
  t.notMatch(describeFailure(error), /secret/);
  t.equal(nbdErrno(error), NBD_EIO);
}
t.match(describeFailure(new Error('/secret')), /^the read failed; the server's log says more$/);
for (const each of [undefined, null, 'text', new TypeError('bug')])
  t.equal(nbdErrno(each), NBD_EIO);

let refused: unknown;
try {
  Buffer.allocUnsafeSlow(2 ** 53);
} catch (error) {
  refused = error;
}
t.equal(
  nbdErrno(refused),
  NBD_EIO,
  'a length for which no buffer can be allocated is a bug of the daemon',
);
t.equal(nbdErrno(new RangeError('Array buffer allocation failed')), NBD_ENOMEM);
