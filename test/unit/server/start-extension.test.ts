// How long a service manager waits for a start whose images are read as a whole.
import { test } from 'tap';
import type { OpeningStatus } from '../../../daemon/control/api.js';
import {
  MAX_START_EXTENSION_MS,
  START_EXTENSION_MS,
  StartExtension,
} from '../../../daemon/server/start-extension.js';

function world() {
  const sent: string[] = [];
  let now = 1000;
  const extendTimeout = (usec: number, status: string): boolean => {
    sent.push(`${usec} ${status}`);
    return true;
  };
  const extension = new StartExtension({ extendTimeout }, () => now);
  return { extension, sent, pass: (ms: number) => (now += ms) };
}

function opening(bytes: number, image = 'docker://r/web'): OpeningStatus {
  return { image, bytes, total: 1 << 20, layer: 1, layers: 2 };
}

const USEC = 1000 * START_EXTENSION_MS;

await test('progress has the manager wait, not more often than each five seconds', (t) => {
  const { extension, pass, sent } = world();
  extension.look([]);
  t.same(sent, [], 'nothing is read as a whole');
  extension.look([opening(0)]);
  t.same(sent.splice(0), [
    `${USEC} opening docker://r/web: layer 1 of 2 is being read: 0 % of 1.0 MiB`,
  ]);
  pass(4999);
  extension.look([opening(1 << 18)]);
  t.same(sent, []);
  pass(1);
  extension.look([opening(1 << 19), opening(5, 'docker://r/db')]);
  t.same(sent.splice(0), [
    `${USEC} opening docker://r/web: layer 1 of 2 is being read: 50 % of 1.0 MiB (and 1 more)`,
  ]);
  pass(5000);
  extension.look([opening(1 << 19), opening(6, 'docker://r/db')]);
  t.equal(sent.length, 1, 'the progress of any of them counts');
  t.end();
});

await test('without progress the manager waits no longer', (t) => {
  const { extension, pass, sent } = world();
  extension.look([opening(7)]);
  t.equal(sent.length, 1);
  for (let i = 0; i < 100; i++) {
    pass(10_000);
    extension.look([opening(7)]);
  }
  t.equal(sent.length, 1);
  extension.look([opening(8)]);
  t.equal(sent.length, 2, 'until there is some');
  t.end();
});

await test('all extensions together have a limit', (t) => {
  const { extension, pass, sent } = world();
  pass(MAX_START_EXTENSION_MS);
  extension.look([opening(1)]);
  t.equal(sent.length, 1);
  pass(5000);
  extension.look([opening(2)]);
  t.equal(sent.length, 1);
  t.end();
});
