// Every fault of a registry or a store that we know of: once, and the bytes are right; for ever, and there is an
// error that names it, with no wrong byte before it.
import { test, type Test } from 'tap';
import type { Action } from '../../../support/registry/rules.js';
import { BLOB, startFront } from '../../support/registry/front-client.js';
import { withLongerLimits } from '../../../support/longer-limits.js';
import type { HttpLimits } from '../../../../daemon/registry/http/limits.js';
import { clientOf } from './client-front.js';

const FIRST = 1000;
const LAST = 150_000;
const RIGHT = BLOB.subarray(FIRST, LAST + 1);

interface Fault {
  readonly name: string;
  readonly action: Action;
  /** Whether the answer is not what was asked for: asked for once more, at the same host or another. */
  readonly isBad?: boolean;
  /** The limit that ends an attempt. It is short; a busy machine must not exceed any other. */
  readonly limits?: Partial<HttpLimits>;
  /** Whether each try comes further, so that in the end all is there. */
  readonly comesFurther?: boolean;
  readonly message: RegExp;
  readonly status?: number;
}

const FAULTS: readonly Fault[] = [
  ...[500, 502, 503, 408, 429].map((status): Fault => {
    const action = { do: 'status', status, body: 'html' } as const;
    return {
      name: `${status}`,
      action,
      message: new RegExp(`answers ${status}\\b`),
      status,
    };
  }),
  {
    name: 'a code of JSON',
    action: { do: 'status', status: 503, body: 'json' },
    message: /answers 503 \(.+: status 503(\\u\{1b\}\[31m)?\)/,
  },
  {
    name: 'a code of XML',
    action: { do: 'status', status: 503, body: 'xml' },
    message: /answers 503 \(AccessDenied\)/,
  },
  { name: '400', action: { do: 'status', status: 400 }, isBad: true, message: /answers 400/ },
  { name: '416', action: { do: 'status', status: 416 }, isBad: true, message: /answers 416/ },
  { name: 'reset', action: { do: 'reset' }, message: /closed the connection/ },
  { name: 'close', action: { do: 'close' }, message: /closed the connection/ },
  {
    name: 'reset in the body',
    comesFurther: true,
    action: { do: 'reset-after', after: 70_000 },
    message: /closed the connection/,
  },
  {
    name: 'no answer',
    action: { do: 'stall' },
    limits: { firstByteMs: 300 },
    message: /does not answer in time/,
  },
  {
    name: 'silence in the body',
    limits: { silenceMs: 300 },
    comesFurther: true,
    action: { do: 'stall-after', after: 70_000 },
    message: /stopped in the middle of an answer|is too slow/,
  },
  {
    name: 'a drip',
    limits: { chunkMs: 600 },
    action: { do: 'drip', bytes: 10, everyMs: 20 },
    message: /is too slow: it took more than 0.6 s for 64 KiB/,
  },
  ...(['declared', 'none', 'chunked'] as const).map((length): Fault => {
    const action = { do: 'cut', after: 70_000, length } as const;
    const message = /closed the connection|ended its answer after \d+ of \d+ bytes/;
    return { name: `cut, length: ${length}`, action, comesFurther: true, message };
  }),
  {
    name: 'cut, length: actual',
    action: { do: 'cut', after: 70_000, length: 'actual' },
    isBad: true,
    message: /announces 70000 bytes for a range of 149001/,
  },
  {
    name: 'excess, declared',
    action: { do: 'excess', bytes: 10, length: 'declared' },
    isBad: true,
    message: /announces 149011 bytes for a range of 149001/,
  },
  {
    name: 'excess, not declared',
    action: { do: 'excess', bytes: 10, length: 'none' },
    isBad: true,
    message: /sent more than the \d+ bytes that it announced/,
  },
  {
    name: 'no Content-Range',
    action: { do: 'content-range', value: null },
    isBad: true,
    message: /206 without a valid Content-Range/,
  },
  {
    name: 'nonsense in Content-Range',
    action: { do: 'content-range', value: 'bytes 1000-x/y' },
    isBad: true,
    message: /206 without a valid Content-Range/,
  },
  {
    name: 'wrong first',
    action: { do: 'shifted-range', first: 1 },
    isBad: true,
    message: /sends bytes 1001-150000, not 1000-150000/,
  },
  {
    name: 'wrong last',
    action: { do: 'shifted-range', last: -1 },
    isBad: true,
    message: /announces 149001 bytes for a range of 149000/,
  },
  {
    name: 'wrong total',
    action: { do: 'shifted-range', total: 1 },
    isBad: true,
    message: new RegExp(`has ${BLOB.length + 1} bytes of this blob, not ${BLOB.length}`),
  },
  {
    name: 'another range',
    action: { do: 'other-range', first: 5, last: 5 },
    isBad: true,
    message: /sends bytes 1005-150005, not 1000-150000/,
  },
  { name: 'gzip', action: { do: 'gzip' }, isBad: true, message: /compresses a range/ },
  {
    name: 'not HTTP',
    action: { do: 'raw', text: 'SSH-2.0-OpenSSH_9.2\r\n' },
    message: /does not speak HTTP|closed the connection/,
  },
  {
    name: 'a control character in a header',
    action: { do: 'raw', text: 'HTTP/1.1 307 Away\r\nLocation: http://a/\u001b[31m\r\n\r\n' },
    isBad: true,
    message: /sends a header that is not valid \(Invalid header value char: "\\u\{1b\}"\)/,
  },
  {
    name: 'bare line feeds',
    action: { do: 'raw', text: 'HTTP/1.1 429 Too Many\nRetry-After: 60\n\n' },
    message: /does not speak HTTP|closed the connection/,
  },
];

for (const fault of FAULTS) {
  await test(fault.name, (t) => {
    t.jobs = 2; // both wait for the same times
    for (const redirect of [undefined, 'store'] as const) {
      const place = redirect ? 'of the store' : 'of the registry';
      void t.test(place, { buffered: true }, (within) => survives(within, fault, redirect));
    }
    t.end();
  });
}

/** @param redirect undefined: the registry itself sends the blob */
async function survives(t: Test, fault: Fault, redirect: 'store' | undefined): Promise<void> {
  const { name, action, isBad, limits, comesFurther, message, status } = fault;
  const { front } = await startFront(t, redirect ? { redirect } : {});
  const { range, counters } = clientOf(t, front, {}, { limits: { ...limits, attempts: 3 } });
  const once = front.rule({ match: { kind: 'data' }, action, times: 1 });
  t.ok((await range(FIRST, LAST)).equals(RIGHT), 'once');
  t.equal(once.hits, 1);
  once.release();
  const always = front.rule({ match: { kind: 'data' }, action });
  if (comesFurther) {
    t.ok((await range(FIRST, LAST)).equals(RIGHT), 'each try gets a part');
    return;
  }
  // A probe of a breaker may be what ends it.
  const error = await withLongerLimits(isBad ? 60_000 : 3000, async (deadlineMs) => {
    const thrown = await range(FIRST, LAST, { deadlineMs }).then(
      () => null,
      (why: unknown) => why as { message: string; facts: Record<string, unknown> },
    );
    // If the deadline passes before the fault comes, the error is another one.
    const isOther = thrown !== null && !message.test(thrown.message);
    return isOther ? false : thrown;
  });
  t.match(error, { code: 'REMOTE', message });
  t.equal(error?.facts['host'], redirect ? front.storeHost : front.host);
  if (status !== undefined) t.equal(error?.facts['status'], status);
  // A store that answers 400 may mean its URL, which is renewed.
  if (isBad) t.equal(always.hits, name === '400' && redirect ? 3 : 2, 'asked once more');
  t.notMatch(error?.message, /signature|expires=|<script>/, 'no secret, no page');
  front.rules.clear();
  always.release();
  t.ok((await range(FIRST, LAST)).equals(RIGHT), 'without the fault it is right again');
  // The front takes its own 416 for the client's mistake.
  if (name !== '416') t.same(front.log.violations(), []);
  for (const each of counters.hosts.values()) t.equal(each.inFlight, 0, 'no place is lost');
}
