// Errors of traces and lists of paths: their facts. Those of requests: registry/http/client-faults.test.ts.
import { test } from 'tap';
import { parsePathList } from '../../../daemon/fetch/path-list.js';
import { parseTrace } from '../../../daemon/fetch/trace-file.js';
import { parseUpstreamTrace } from '../../../daemon/fetch/upstream-trace.js';
import { checkErrors } from '../../support/error-rows.js';

await test('errors of traces and lists have their facts', async (t) => {
  const paths = Buffer.from(Array.from({ length: 20_000 }, (_, i) => `/${i}`).join('\n'));
  await checkErrors(t, {
    'no trace': [
      () => parseTrace('x\n', '/trace'),
      'BAD_FORMAT',
      {
        blob: '/trace',
        section: 'line 1',
        expected: '"overlaybd-nbd trace 1"',
        got: '"x"',
      },
    ],
    'a large trace': [
      () => parseTrace('x'.repeat(64 << 20), '/trace'),
      'LIMIT',
      { blob: '/trace', expected: 'at most 4194304', got: 64 << 20 },
    ],
    'a large trace of upstream': [
      () => parseUpstreamTrace(Buffer.alloc(64 << 20), '/trace'),
      'LIMIT',
      { blob: '/trace', expected: 'at most 4194304', got: 64 << 20 },
    ],
    'a long list': [
      () => parsePathList(paths, '/list'),
      'LIMIT',
      { path: '/list', expected: 'at most 16384', got: 20_000 },
    ],
  });
});
