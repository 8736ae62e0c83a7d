// Exports in the status: served, being opened, and failed with the reason; and their counts for the log.
import { test } from 'tap';
import { fileRef } from '../../../daemon/blob/blob-ref.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import { problemOf } from '../../../daemon/image/problem.js';
import type { ImageTable } from '../../../daemon/image/table.js';
import { exportCounts, exportStatuses, imageCounts } from '../../../daemon/server/export-status.js';

const source = { blobs: [fileRef('/a'), fileRef('/b')], partition: null };
const problem = problemOf(new OverlaybdError('NOT_FOUND', '/a: no such file'), null);
const served = { name: '/web.json', image: { description: '2 layers', size: 4096 } };

function tableOf(parts: { exports?: object; failed?: object }): ImageTable {
  const { exports = {}, failed = {} } = parts;
  return {
    exports: new Map(Object.entries(exports)),
    failed: new Map(Object.entries(failed)),
  } as unknown as ImageTable;
}

await test('served exports come first, then the others with their problem', (t) => {
  const failed = {
    bad: { source, problem, isOpening: false },
    slow: { source, problem, isOpening: true },
  };
  const table = tableOf({ exports: { web: served }, failed });
  const { code, message, since, tries } = problem;
  const shown = { code, message, since, tries, retrySeconds: 1 };
  const missing = { image: '/a /b', description: '', size: 0, problem: shown };
  t.same(exportStatuses(table), [
    {
      name: 'web',
      state: 'served',
      image: '/web.json',
      description: '2 layers',
      size: 4096,
      problem: null,
    },
    { name: 'bad', state: 'failed', ...missing },
    { name: 'slow', state: 'opening', ...missing },
  ]);
  t.same(imageCounts(table), { served: 1, opening: 1, failed: 1 });
  t.equal(exportCounts(table), '1 export (1 more being opened, 1 more failed)');
  t.end();
});

await test('the counts name only states that occur', (t) => {
  t.equal(exportCounts(tableOf({})), '0 exports');
  t.equal(exportCounts(tableOf({ exports: { a: served, b: served } })), '2 exports');
  const failed = { bad: { source, problem, isOpening: false } };
  t.equal(exportCounts(tableOf({ failed })), '0 exports (1 more failed)');
  t.end();
});
