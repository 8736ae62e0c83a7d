// Documents as a target: manifests and indexes, archives of docker save, configurations, lists of what to fetch first, partition
// tables, EROFS images that are read by pages, and answers of registries.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as fc from 'fast-check';
import { answerMustBeHandled, hostileAnswer } from './documents/answers.js';
import { configurationMustBeHandled, hostileConfiguration } from './documents/configurations.js';
import { diskMustBeHandled, hostileDisk } from './documents/disks.js';
import { documentMustBeHandled, haveDocuments, hostileDocument } from './documents/fixtures.js';
import { hostileImage, imageMustBeHandled } from './documents/images.js';
import { hostileList, listMustBeHandled } from './documents/lists.js';
import type { Target } from './run.js';
import { sampledTarget } from './sampled-target.js';

const caseOf = fc.oneof(
  fc.record({ room: fc.constant('image' as const), played: hostileImage }),
  fc.record({ room: fc.constant('configuration' as const), played: hostileConfiguration }),
  fc.record({ room: fc.constant('list' as const), played: hostileList }),
  fc.record({ room: fc.constant('disk' as const), played: hostileDisk }),
  fc.record({ room: fc.constant('answer' as const), played: hostileAnswer }),
  ...(haveDocuments
    ? [fc.record({ room: fc.constant('fixture' as const), played: hostileDocument })]
    : []),
);

export function documentsTarget(): Target {
  const folder = mkdtempSync(join(tmpdir(), 'overlaybd-nbd-fuzz-'));
  return sampledTarget(
    caseOf,
    async (played, count) => {
      for (const what of await outcomesOf(played, folder)) count(what);
    },
    () => rmSync(folder, { recursive: true }),
  );
}

type Case = typeof caseOf extends fc.Arbitrary<infer T> ? T : never;

/** Plays a case. @returns what it was, and how it ended */
async function outcomesOf({ room, played }: Case, folder: string): Promise<readonly string[]> {
  switch (room) {
    case 'image': {
      const own = mkdtempSync(join(folder, 'image-'));
      try {
        await imageMustBeHandled(own, played);
      } finally {
        rmSync(own, { recursive: true });
      }
      const { kind, damaged } = played;
      const of = kind === 'layout' ? ` of the kind ${played.layers}` : '';
      return [`${kind}${of}: ${damaged}`, ...played.changes.map((each) => `change ${each.kind}`)];
    }
    case 'configuration':
      return [`${played.file} is ${await configurationMustBeHandled(played)}`];
    case 'fixture':
      return [`fixture ${played.name} is ${await documentMustBeHandled(played)}`];
    case 'list':
      return [`${played.kind} is ${await listMustBeHandled(played)}`];
    case 'disk':
      return [`${played.kind} is ${await diskMustBeHandled(played)}`];
    case 'answer': {
      const what = played.kind === 'field' ? played.field : played.kind;
      return [`${what} is ${await answerMustBeHandled(played)}`];
    }
  }
}
