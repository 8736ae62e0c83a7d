import { test } from 'tap';
import { META_CONTEXTS, selectContexts } from '../../../daemon/nbd/meta-context.js';
import {
  offeredTransmission,
  resumedSession,
} from '../../../daemon/reactor/resumed-transmission.js';
import { FakeExport } from '../nbd/fake-export.js';

const NAMES = META_CONTEXTS.map(({ name }) => name);
const REFUSED = {
  cookieHigh: 1,
  cookieLow: 2,
  offsetHigh: 0,
  offsetLow: 512,
  type: 1,
  offset: 512,
  length: 9,
  errno: 1,
  message: 'x',
};

await test('an offered session is plain data, and a session can be made of it again', (t) => {
  const unused = Buffer.from('half a request');
  const offered = offeredTransmission(
    new FakeExport(4096, 'web'),
    {
      session: { form: 'extended', contexts: selectContexts(NAMES) },
      unfinished: { skip: 7, refused: REFUSED },
      recall: () => Buffer.from('a parked read, '),
    },
    unused,
  );
  unused.fill(0);
  t.same(offered, {
    export: 'web',
    size: 4096,
    form: 'extended',
    contexts: NAMES,
    skip: 7,
    refused: REFUSED,
    received: Uint8Array.from(Buffer.from('a parked read, half a request')),
  });
  t.same(structuredClone(offered), offered, 'it can be posted to another thread');
  const fake = new FakeExport(4096, 'web');
  const { served, session } = resumedSession(fake, offered);
  t.equal(served, fake);
  t.same(session, { form: 'extended', contexts: selectContexts(NAMES) });
  t.end();
});

await test('the client keeps the size that it got in the handshake', (t) => {
  const received = new Uint8Array(0);
  const resumed = { export: 'x', form: 'simple', contexts: [], skip: 0, received } as const;
  const fake = new FakeExport(1000, 'x');
  t.equal(resumedSession(fake, { ...resumed, size: 1024 }).served.disk.size, 1024);
  t.equal(
    resumedSession(fake, resumed).served.disk.size,
    1000,
    'without a size in the offer the size of the export applies',
  );
  t.end();
});
