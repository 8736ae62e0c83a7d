// The transmission flags of each form of replies, by their numbers in the protocol.
import t from 'tap';
import { transmissionFlags } from '../../../daemon/nbd/session.js';

// HAS_FLAGS 0x1, READ_ONLY 0x2, SEND_FLUSH 0x4, CAN_MULTI_CONN 0x100, SEND_CACHE 0x400.
t.equal(transmissionFlags('simple'), 0x507, 'simple replies');
t.equal(transmissionFlags('structured'), 0x587, 'structured replies: SEND_DF too');
t.equal(transmissionFlags('extended'), 0x587, 'extended replies: SEND_DF too');
