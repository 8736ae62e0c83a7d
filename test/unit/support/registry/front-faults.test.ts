// Each fault of the front, as a client sees it that undoes none of them.
import { connect } from 'node:net';
import { test, type Test } from 'tap';
import type { Action } from '../../../support/registry/rules.js';
import { BLOB, DIGEST, REPOSITORY, startFront, type Answer } from './front-client.js';

const FIRST = 65_536;
const LAST = 131_071;
const LENGTH = LAST - FIRST + 1;
const RIGHT = BLOB.subarray(FIRST, LAST + 1);

interface Fault {
  action: Action;
  /** What the client gets. */
  status: number;
  problem: string | null;
  bytes: number;
  check?: (t: Test, answer: Answer) => void;
}

const startsRight = (t: Test, { body }: Answer): void => {
  t.ok(body.equals(RIGHT.subarray(0, body.length)), 'what comes is right');
};

const FAULTS: readonly Fault[] = [
  { action: { do: 'status', status: 503, body: 'html' }, status: 503, problem: null, bytes: -1 },
  {
    action: { do: 'status', status: 429, headers: { 'Retry-After': '7' } },
    status: 429,
    problem: null,
    bytes: -1,
    check: (t, { headers }) => t.equal(headers['retry-after'], '7'),
  },
  {
    action: { do: 'unauthorized' },
    status: 401,
    problem: null,
    bytes: -1,
    check: (t, { headers }) => t.match(headers['www-authenticate'], /^Basic/),
  },
  {
    action: { do: 'redirect', to: 'http://unknown.invalid/x' },
    status: 307,
    problem: null,
    bytes: 0,
    check: (t, { headers }) => t.equal(headers['location'], 'http://unknown.invalid/x'),
  },
  { action: { do: 'reset' }, status: 0, problem: 'ECONNRESET', bytes: 0 },
  { action: { do: 'close' }, status: 0, problem: 'UND_ERR_SOCKET', bytes: 0 },
  {
    action: { do: 'raw', text: 'HTTP/1.1 429 Slow\nRetry-After: 60\n\n' },
    status: 0,
    problem: 'HTTPParserError',
    bytes: 0,
  },
  {
    action: { do: 'cut', after: 1000, length: 'declared' },
    status: 206,
    problem: 'UND_ERR_SOCKET',
    bytes: 1000,
    check: startsRight,
  },
  // The two that no client sees without counting.
  {
    action: { do: 'cut', after: 1000, length: 'none' },
    status: 206,
    problem: null,
    bytes: 1000,
    check: startsRight,
  },
  {
    action: { do: 'cut', after: 1000, length: 'actual' },
    status: 206,
    problem: null,
    bytes: 1000,
    check: startsRight,
  },
  {
    action: { do: 'cut', after: 1000, length: 'chunked' },
    status: 206,
    problem: 'UND_ERR_SOCKET',
    bytes: 1000,
    check: startsRight,
  },
  {
    action: { do: 'excess', bytes: 10, length: 'declared' },
    status: 206,
    problem: null,
    bytes: LENGTH + 10,
  },
  {
    action: { do: 'excess', bytes: 10, length: 'none' },
    status: 206,
    problem: null,
    bytes: LENGTH + 10,
  },
  {
    action: { do: 'content-range', value: null },
    status: 206,
    problem: null,
    bytes: LENGTH,
    check: (t, { headers }) => t.equal(headers['content-range'], undefined),
  },
  {
    action: { do: 'shifted-range', first: 1, last: -1, total: 5 },
    status: 206,
    problem: null,
    bytes: LENGTH,
    check: (t, { headers }) =>
      t.equal(headers['content-range'], `bytes ${FIRST + 1}-${LAST - 1}/${BLOB.length + 5}`),
  },
  {
    action: { do: 'other-range', first: 512, last: -512 },
    status: 206,
    problem: null,
    bytes: LENGTH - 1024,
    check: (t, { headers, body }) => {
      t.equal(headers['content-range'], `bytes ${FIRST + 512}-${LAST - 512}/${BLOB.length}`);
      t.ok(body.equals(RIGHT.subarray(512, LENGTH - 512)), 'what it says');
    },
  },
  {
    action: { do: 'whole' },
    status: 200,
    problem: null,
    bytes: BLOB.length,
    check: (t, { body }) => t.ok(body.equals(BLOB)),
  },
  {
    action: { do: 'gzip' },
    status: 206,
    problem: null,
    bytes: -1,
    check: (t, { headers, body }) => {
      t.equal(headers['content-encoding'], 'gzip');
      t.equal(body.readUInt16BE(0), 0x1f8b);
    },
  },
  {
    action: { do: 'corrupt', at: FIRST + 77 },
    status: 206,
    problem: null,
    bytes: LENGTH,
    check: (t, { body }) => {
      const wrong = [...body.keys()].filter((at) => body[at] !== RIGHT[at]);
      t.same(wrong, [77], 'one byte is wrong');
    },
  },
  {
    action: { do: 'drip', bytes: 16_384, everyMs: 5 },
    status: 206,
    problem: null,
    bytes: LENGTH,
    check: startsRight,
  },
  { action: { do: 'delay', ms: 20 }, status: 206, problem: null, bytes: LENGTH },
];

for (const redirect of [undefined, 'store'] as const) {
  for (const { action, status, problem, bytes, check } of FAULTS) {
    const where = redirect === undefined ? '' : ' at the store';
    await test(`${JSON.stringify(action)}${where}`, async (t) => {
      const { front, get, range } = await startFront(t, redirect && { redirect });
      const ranged = async (): Promise<Answer> => {
        if (!redirect) return range(FIRST, LAST);
        const { headers } = await range(FIRST, LAST);
        return get(headers['location'] ?? '', { range: `bytes=${FIRST}-${LAST}` });
      };
      const rule = front.rule({ match: { kind: 'data' }, action, times: 1 });
      const answer = await ranged();
      t.equal(answer.status, status);
      t.equal(answer.problem, problem);
      if (bytes >= 0) t.equal(answer.body.length, bytes);
      check?.(t, answer);
      t.equal(rule.hits, 1);
      const [entry] = front.log.requests.filter((each) => each.action !== null);
      t.equal(entry?.action, action.do, 'the log says so');
      const after = await ranged();
      t.ok(after.body.equals(RIGHT), 'the next answer is right');
    });
  }
}

await test('a request that comes before the answer to the one before it has ended', async (t) => {
  const { front } = await startFront(t);
  front.rule({
    match: { kind: 'data' },
    action: { do: 'drip', bytes: 512, everyMs: 5 },
    times: 1,
  });
  const [host = '', port] = front.host.split(':');
  const socket = connect(Number(port), host);
  t.teardown(() => socket.destroy());
  socket.write(ask(0, 8191, 'keep-alive') + ask(100, 199, 'close'));
  const parts: Buffer[] = [];
  for await (const part of socket) parts.push(part as Buffer);
  const all = Buffer.concat(parts);
  t.ok(all.includes(BLOB.subarray(0, 8192)), 'the first one');
  t.ok(all.subarray(-100).equals(BLOB.subarray(100, 200)), 'the second one');
});

function ask(first: number, last: number, how: string): string {
  return `GET /v2/${REPOSITORY}/blobs/${DIGEST} HTTP/1.1\r\nHost: x\r\nRange: bytes=${first}-${last}\r\nConnection: ${how}\r\n\r\n`;
}
