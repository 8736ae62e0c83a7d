// Names of the protocol's numbers, including numbers that the protocol does not define.
import t from 'tap';
import { NBD_CMD, NBD_CMD_FLAG, NBD_ERRNO, NBD_OPT } from '../../../daemon/nbd/constants.js';
import { flagNames, nameOf, nbdErrnoName, requestText } from '../../../daemon/nbd/names.js';

t.equal(nameOf('NBD_CMD', NBD_CMD.CACHE), 'NBD_CMD_CACHE');
t.equal(nameOf('NBD_CMD', NBD_CMD.READ), 'NBD_CMD_READ');
t.equal(nameOf('NBD_CMD', 200), 'NBD_CMD 200');
t.equal(nameOf('NBD_OPT', NBD_OPT.GO), 'NBD_OPT_GO');
t.equal(nameOf('NBD_OPT', 0xffff_ffff), 'NBD_OPT 4294967295');
for (const [name, number] of Object.entries(NBD_ERRNO))
  t.equal(nbdErrnoName(number), `NBD_${name}`);
t.equal(nbdErrnoName(2), 'NBD error 2');
t.equal(flagNames(NBD_CMD_FLAG.DF), 'NBD_CMD_FLAG_DF');
t.equal(flagNames(NBD_CMD_FLAG.FUA | 0x8040), 'NBD_CMD_FLAG_FUA, NBD_CMD_FLAG 0x8040');
t.equal(
  requestText({ type: NBD_CMD.WRITE_ZEROES, offset: 2 ** 40, length: 512 }),
  'NBD_CMD_WRITE_ZEROES of 512 bytes at 1099511627776',
);
