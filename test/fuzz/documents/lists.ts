// Damaged lists of what to fetch first: traces of this program and of the reference implementation, lists of paths, lists of spans.
import * as fc from 'fast-check';
import { isPathList, parsePathList } from '../../../daemon/fetch/path-list.js';
import { formatTrace, parseTrace } from '../../../daemon/fetch/trace-file.js';
import { parseUpstreamTrace } from '../../../daemon/fetch/upstream-trace.js';
import { UNBOUNDED } from '../../../daemon/lib/effort.js';
import { sha256Of } from '../../../daemon/lib/sha256.js';
import { openZtoc } from '../../../daemon/soci/open.js';
import { readPrefetch } from '../../../daemon/soci/prefetch.js';
import { rawCrc32c } from '../../support/crc32c.js';
import { mutate, mutations } from '../../support/hostile-blobs.js';
import { MemorySource } from '../../support/memory-source.js';
import { SOCI_ARCHIVE } from '../../support/soci-archive.js';
import { writeUpstreamTrace } from '../../support/upstream-trace.js';
import { writeZtoc } from '../../support/ztoc-writer.js';
import { changedJson, jsonChanges } from './json-changes.js';
import { mustEnd } from './must-end.js';
import { changedText, textChanges } from './text-changes.js';

const OWN = formatTrace([
  { digest: `sha256:${'1'.repeat(64)}`, first: 0, last: 7 },
  { digest: `sha256:${'2'.repeat(64)}`, first: 3, last: 3 },
]);
const PATHS = '/bin/sh\nusr/lib/libc.so\r\n  /etc/passwd  \n\n/a b\n';
const SPANS = {
  version: '1.0',
  prefetch_spans: [
    { start_span: 3, end_span: 4, priority: 2 },
    { start_span: 0, end_span: 0 },
  ],
};
const UPSTREAM = writeUpstreamTrace([
  { layer: 0, offset: 0, count: 4096 },
  { operation: 'W', layer: 1, offset: 512, count: 1 },
  { layer: 1, offset: 1 << 20, count: 1 << 20 },
]);
const UPSTREAM_HEADER = { bytes: 24, checksum: 16 } as const;

const { layer, ztoc } = await writeZtoc(SOCI_ARCHIVE, { form: 'plain', spanSize: 10_000 });
const { table } = (
  await openZtoc(
    new MemorySource(layer, 'layer'),
    { source: new MemorySource(ztoc, 'ztoc'), digest: null },
    UNBOUNDED,
  )
).pieces;

export const hostileList = fc.oneof(
  fc.record({
    kind: fc.constantFrom('trace' as const, 'list of paths' as const),
    changes: textChanges,
  }),
  fc.record({ kind: fc.constant('list of spans' as const), changes: jsonChanges }),
  fc.record({
    kind: fc.constant('trace of upstream' as const),
    changes: mutations,
    isSealed: fc.boolean(),
  }),
);
export type HostileList = typeof hostileList extends fc.Arbitrary<infer T> ? T : never;

export function listMustBeHandled(played: HostileList): Promise<string> {
  switch (played.kind) {
    case 'trace': {
      const text = changedText(OWN, played.changes);
      return mustEnd(() => parseTrace(text, 'trace'));
    }
    case 'list of paths': {
      const bytes = Buffer.from(changedText(PATHS, played.changes));
      return mustEnd(() => isPathList(bytes) && parsePathList(bytes, 'list'));
    }
    case 'list of spans':
      return spansMustBeHandled(changedJson(SPANS, played.changes));
    case 'trace of upstream': {
      const bytes = mutate(UPSTREAM, played.changes);
      if (played.isSealed && bytes.length >= UPSTREAM_HEADER.bytes) {
        const checksum = rawCrc32c(bytes.subarray(UPSTREAM_HEADER.bytes), 0);
        bytes.writeUInt32LE(checksum, UPSTREAM_HEADER.checksum);
      }
      return mustEnd(() => parseUpstreamTrace(bytes, 'trace'));
    }
  }
}

/** A hint: what is wrong with it is never an error. */
function spansMustBeHandled(text: string): Promise<string> {
  const bytes = Buffer.from(text);
  const open = (): Promise<MemorySource> => Promise.resolve(new MemorySource(bytes, 'list'));
  return mustEnd(
    async () => {
      const found = await readPrefetch({ name: 'layer', digest: sha256Of(bytes), open }, table);
      for (const { begin, end } of found.ranges) {
        if (!(begin >= 0 && begin <= end && end <= layer.length)) {
          throw new Error(`a range of ${begin} to ${end} of ${layer.length} bytes`);
        }
      }
    },
    () => false,
  );
}
