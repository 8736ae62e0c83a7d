import { openSync } from 'node:fs';
import { test } from 'tap';
import { descriptors } from '../../../daemon/native/descriptors.js';
import {
  HANDOVER_VARIABLE,
  activatedOf,
  listeningOf,
  takeHandover,
  type Handover,
} from '../../../daemon/upgrade/handover.js';

const env = (handover: unknown): NodeJS.ProcessEnv => ({
  OTHER: '1',
  [HANDOVER_VARIABLE]: JSON.stringify(handover),
});

const socket = (fd: number, key: string | null, name: string) => ({
  fd,
  key,
  name,
  uri: `uri ${fd}`,
  file: null,
});

await test('a hand-over is taken once, with its descriptors', (t) => {
  const fds = [0, 1, 2].map(() => openSync('/dev/null', 'r'));
  t.teardown(() => fds.forEach((fd) => descriptors.close(fd)));
  const [channel = -1, lock = -1, control = -1] = fds;
  const variables = env({ channel, state: { folder: '/s', lock, control }, sockets: [] });
  const handover = takeHandover(variables);
  t.same(handover, { channel, state: { folder: '/s', lock, control }, failed: [], sockets: [] });
  t.same(variables, { OTHER: '1' });
  t.equal(takeHandover(variables), null);
  t.end();
});

await test('an invalid hand-over is an error that names the variable', (t) => {
  for (const wrong of [
    {},
    { channel: 2, state: null, sockets: [] },
    { channel: 65_536, state: null, sockets: [] },
    { channel: 60_000, state: null, sockets: [] },
    { channel: 3, state: null, sockets: [], more: 1 },
    null,
  ]) {
    t.throws(
      () => takeHandover(env(wrong)),
      { code: 'BAD_CONFIG', message: new RegExp(`^${HANDOVER_VARIABLE}: `) },
      JSON.stringify(wrong),
    );
  }
  t.throws(() => takeHandover({ [HANDOVER_VARIABLE]: '{' }), { code: 'BAD_CONFIG' });
  t.end();
});

await test('sockets of the service manager, and sockets of the predecessor', (t) => {
  const handover: Handover = {
    channel: 3,
    state: null,
    failed: [],
    sockets: [
      socket(4, 'a', 'x'),
      socket(5, null, 'web'),
      socket(6, 'a', 'y'),
      socket(7, 'b', 'z'),
    ],
  };
  t.same(activatedOf(handover), [{ fd: 5, name: 'web' }]);
  t.same(
    [...listeningOf(handover)],
    [
      [
        'a',
        [
          { fd: 4, uri: 'uri 4', file: null },
          { fd: 6, uri: 'uri 6', file: null },
        ],
      ],
      ['b', [{ fd: 7, uri: 'uri 7', file: null }]],
    ],
  );
  t.equal(listeningOf(null).size, 0);
  t.end();
});
