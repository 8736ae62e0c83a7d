// Bodies that only explain an error, and those that nothing needs.
import { Readable } from 'node:stream';
import { test } from 'tap';
import { discard, explanation } from '../../../../daemon/registry/http/body.js';
import { HostCounters } from '../../../../daemon/registry/http/counters.js';
import { DEFAULT_LIMITS } from '../../../../daemon/registry/http/limits.js';
import type { Body, Incoming, Outgoing } from '../../../../daemon/registry/http/wire.js';

const LIMIT = 16_384;

function answer(text: string, headers: Record<string, string> = {}): Incoming {
  const body = Readable.from([Buffer.from(text)]) as unknown as Body;
  const counters = new HostCounters();
  const request: Outgoing = {
    url: new URL('https://h/v2/'),
    kind: 'manifest',
    route: { tls: null, proxy: null },
    headers: { authorization: 'Bearer given-token' },
  };
  return { host: 'h', status: 500, headers, body, counters, request, waitedMs: 0 };
}

const explain = (text: string): Promise<string> =>
  explanation(answer(text), DEFAULT_LIMITS, new AbortController().signal);

await test('an explanation is read up to a limit', async (t) => {
  const error = '{"errors":[{"code":"DENIED","message":"no"}]}';
  t.equal(await explain(error), ' (DENIED: no)');
  t.equal(await explain(error.padStart(LIMIT)), ' (DENIED: no)');
  t.equal(await explain(error.padStart(LIMIT + 1)), '', 'its end is beyond the limit');
  t.equal(await explain('<Error><Code>SlowDown</Code></Error>'), ' (SlowDown)');
  t.equal(await explain('<html>a page</html>'), '');
  t.equal(
    await explain('{"errors":[{"code":"DENIED","message":"no given-to"}]}'),
    ' (its explanation repeats a secret of the request)',
  );
});

await test('a short body is read, so that its connection can be kept; a long one is not', (t) => {
  for (const [length, isRead] of [
    [`${LIMIT}`, true],
    [`${LIMIT + 1}`, false],
    [null, false],
  ] as const) {
    const incoming = answer('x', length === null ? {} : { 'content-length': length });
    discard(incoming);
    t.equal(incoming.body.readableFlowing, isRead || null, `${length}`);
    t.equal(incoming.body.destroyed, !isRead);
  }
  t.end();
});
