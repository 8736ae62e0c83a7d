// Exceptions from the rule (each constant of a file of limits is doubled, those with MIN_ are halved), additional tests
// for a mutant, and changes that no unit test can notice, with the reason.

/** How one use of a constant of a file of limits differs from the rule. */
export interface Exception {
  /** Instead of "value * 2". */
  readonly expression?: string;
  /** In addition to the mirrored test, below test/unit. */
  readonly tests?: readonly string[];
  /** Why no unit test notices it. */
  readonly survives?: string;
}

const TIME = 'no unit test waits this long';
const PACE = 'how much is done at a time: the bytes are the same';
const DEFAULT = 'a default: its tests give bounds of their own';
const takes = (what: string): string => `reaching it takes ${what}`;
const LOOKS = 'whether the thread looks for the next request: the bytes are the same';
const NO_BURST = 'a burst of 1, or 0 lines more, is enough for one line of a key';

/** By user, below daemon/, and constant. */
export const EXCEPTIONS: Readonly<Record<string, Exception>> = {
  'composefs/objects-source MAX_KEPT_BYTES': { survives: PACE },
  'composefs/objects-source PARALLEL_OBJECTS': { survives: PACE },
  'composefs/objects-source SMALL_OBJECT': { survives: PACE },
  'composefs/open-objects IDLE_MS': { survives: DEFAULT },
  'composefs/open-objects MAX_OPEN_OBJECTS': { survives: DEFAULT },
  'erofs/reader/image MAX_LAYER_ENTRIES': { survives: takes('2,000,000 files') },
  'erofs/reader/image MAX_METADATA_BYTES': { survives: takes('512 MiB') },
  'erofs/reader/paged-image KEPT_PAGES_BYTES': { survives: DEFAULT },
  'erofs/reader/paged-image MAX_PAGED_BYTES': {
    survives:
      'a buffer of Node.js 20 has no more bytes, and an image that has more is refused by that',
  },
  'ext4/file-system MAX_KEPT_NAMES': { survives: PACE },
  'ext4/listed-ranges MAX_LISTED_FILES': { survives: takes('65,536 files') },
  'ext4/listed-ranges MAX_RANGES': { survives: takes('262,144 ranges of files') },
  'ext4/listed-ranges MAX_WALKED_DIRECTORIES': { survives: takes('16,384 directories') },
  'ext4/listed-ranges PATHS_AT_A_TIME': { survives: PACE },
  'ext4/metadata LEAST_PIECE': { survives: PACE },
  'ext4/metadata METADATA_BYTES_A_TURN': { survives: PACE },
  'image/stack/device-files MAX_FOLDER_FILES': { survives: takes('10,000 files in a folder') },
  'tarfs/open MAX_INDEX_BYTES': { survives: takes('512 MiB') },
  'estargz/gzip-toc MAX_TOC_BYTES': { survives: takes('150 MiB') },
  'estargz/open MAX_TOC_BYTES': { survives: takes('150 MiB') },
  'fetch/fetcher CLOSE_MS': { survives: TIME },
  'inflate/index-gzip MAX_PLAIN_BYTES': { survives: takes('256 GiB of plain bytes') },
  'pieces/copy-zstd MAX_COPIED_BYTES': { survives: takes('256 GiB of plain bytes') },
  'pieces/decoded-cache MAX_KEPT_BYTES': { survives: DEFAULT },
  'pieces/decoded-cache MAX_KEPT_MEMBERS': { survives: DEFAULT },
  'pieces/decoded-cache PARALLEL_DECODES': { survives: PACE },
  'pieces/index-zstd MAX_STORED_FRAME': { survives: takes('a frame of 65 MiB') },
  'pieces/member-store PARALLEL_MEMBERS': { survives: PACE },
  'pieces/member-columns MAX_HASHED_BYTES': { tests: ['pieces/piece-table'] },
  'pieces/piece-table MAX_PIECES': { survives: takes('4,000,000 pieces') },
  'pieces/pieces-source MAX_BAD_PIECES': { survives: takes('a member of 1001 bad pieces') },
  'pieces/pieces-source MAX_KEPT_BYTES': { survives: PACE },
  'pieces/shared-members MAX_SHARED_MEMBER': { survives: DEFAULT },
  'pieces/shared-members SHARED_BYTES': { survives: DEFAULT },
  'pieces/shared-members SHARED_PATIENCE_MS': { survives: DEFAULT },
  'rafs/blob-table MAX_BLOBS': { survives: 'the superblock refuses as many devices before' },
  'rafs/bootstrap MAX_BOOTSTRAP_BYTES': { survives: takes('512 MiB') },
  'rafs/chunk-table MAX_PIECES': { survives: takes('4,000,000 chunks') },
  'rafs/inode MAX_XATTR_BYTES': { survives: takes('an inode with 1 MiB of xattrs') },
  'rafs/layer MAX_BOOTSTRAP_BYTES': { survives: takes('512 MiB') },
  'rafs/layer MAX_BOOTSTRAP_LAYER_BYTES': { survives: takes('512 MiB') },
  'soci/spans MAX_PIECES': { survives: takes('4,000,000 spans') },
  'tarball/parser MAX_LAYER_HEADERS': { survives: takes('4 GB of headers') },
  'cli/options/listen DEFAULT_CONNECTIONS_PER_PEER': {
    survives: 'the help shows it; listen/admission keeps to it',
  },
  'log/counted-log REPEATED_LINES.burst': { survives: NO_BURST },
  'log/counted-log REPEATED_LINES.lines': { survives: NO_BURST },
  'reactor/client-log READ_FAILURE_LINES.burst': { survives: NO_BURST },
  'reactor/client-log READ_FAILURE_LINES.lines': { survives: NO_BURST },
  'log/winston-logger FLUSH_MS': { survives: TIME },
  'nbd/handshake-replies MAX_REQUEST_LENGTH': {
    tests: ['nbd/handshake', 'nbd/option-negotiation'],
  },
  'nbd/option-answers MAX_NAME_LENGTH': {
    survives: 'no export has a longer name, and MAX_OPTION_LENGTH bounds what is compared',
  },
  'nbd/large-memory STALLED_MS': { survives: `${TIME}; test/e2e/hostile-client.test.ts does` },
  'nbd/reads MAX_INLINE_LENGTH': { tests: ['nbd/chunked-shape-long'] },
  'nbd/commands MAX_INLINE_LENGTH': { tests: ['nbd/chunked-shape'] },
  'nbd/transmission MAX_IN_FLIGHT': { tests: ['nbd/reads'] },
  'nbd/commands MAX_ANNOUNCED_LENGTH': { tests: ['nbd/announced-reads'] },
  'nbd/commands MAX_ANNOUNCED_READS': { tests: ['nbd/announced-reads'] },
  'nbd/commands MIN_ANNOUNCED_READS': { tests: ['nbd/announced-reads'] },
  'nbd/commands MAX_REQUEST_LENGTH': { tests: ['nbd/chunked-shape'] },
  'tree/range-columns MAX_LAYER_RANGES': { survives: 'reaching it takes 400 MiB' },
  'tree/under-way MAX_TREE_INODES': { survives: 'reaching it takes 1 GiB' },
  'tree/walk MAX_KNOWN_BYTES': { survives: 'how much is remembered: what is found is the same' },
  'reactor/connection BULK_BYTES': { survives: LOOKS },
  'reactor/plain-transport UNIX_SEND_BUFFER': {
    survives: 'an option of the socket: the bytes are the same',
  },
  'reactor/connection MAX_UNSENT_BYTES': {
    survives: 'handshake and transmission stop at the same bound; this one spares a receive',
  },
  'reactor/connection-context DRAIN_TIMEOUT_MS': {
    survives: `${TIME}; test/e2e/serve-stop.test.ts notices a threefold one`,
  },
  'reactor/connection-context HANDSHAKE_TIMEOUT_MS': {
    survives: `${TIME}; test/e2e/hostile-client.test.ts does`,
  },
  'reactor/plain-transport VANISHED_S': {
    survives: 'an option of the socket; test/e2e/vanished-peers.test.ts asks the kernel for it',
  },
  'reactor/pool DRAIN_TIMEOUT_MS': { survives: TIME },
  'reactor/worker PAUSED_AFTER_MS': { survives: 'how often it looks: reactor/deadline decides' },
  'registry/http/client DEFAULT_LIMITS.connectMs': { survives: TIME },
  'registry/http/client DEFAULT_LIMITS.firstByteMs': { survives: TIME },
  'registry/http/client DEFAULT_LIMITS.silenceMs': { survives: TIME },
  'registry/http/client DEFAULT_LIMITS.chunkMs': { survives: TIME },
  'registry/http/client DEFAULT_LIMITS.backoffFirstMs': { survives: TIME },
  'registry/http/client DEFAULT_LIMITS.backoffMostMs': { survives: TIME },
  'registry/http/client DEFAULT_LIMITS.exchangeMs': { survives: TIME },
  'registry/http/client DEFAULT_LIMITS.helperMs': { survives: TIME },
  'registry/http/client DEFAULT_LIMITS.queued': {
    survives: 'a test of 1041 requests takes seconds; slots.test has another bound',
  },
  'registry/http/client DEFAULT_LIMITS.pools': { survives: 'no unit test connects to 257 hosts' },
  'registry/http/body PROGRESS_BYTES': {
    survives: 'how often the time for 64 KiB starts again: a test of it would be one of the clock',
  },
  'server/operation DRAIN_TIMEOUT_MS': { survives: TIME },
  'server/start DRAIN_TIMEOUT_MS': { survives: TIME },
  'upgrade/predecessor DRAIN_TIMEOUT_MS': { survives: TIME },
};

/** A check or a bound without a file of limits: an exact part of compiled code, and its replacement. */
export interface Replacement {
  readonly name: string;
  /** Below daemon/. */
  readonly user: string;
  readonly part: string;
  readonly by: string;
  readonly survives?: string;
}

export const REPLACEMENTS: readonly Replacement[] = [
  {
    name: 'no longest joined segment',
    user: 'lsmt/build-index',
    part: 'const MAX_JOINED_LENGTH = 0xffff_ffff;',
    by: 'const MAX_JOINED_LENGTH = Infinity;',
  },
  {
    name: 'a pipe with stray bytes is filled again',
    user: 'reactor/file-pipe',
    part: 'if (this.spoilt || ',
    by: 'if (',
  },
  {
    name: 'a pipe with stray bytes goes back to the pool',
    user: 'reactor/file-pipe',
    part: 'pipe.held > 0 || pipe.spoilt || ',
    by: 'pipe.held > 0 || ',
  },
  {
    name: 'a pipe has room for any number of pages',
    user: 'reactor/file-pipe',
    part: ' || this.#used + pages > this.#capacity',
    by: '',
  },
  {
    name: 'a run at both ends of a page counts as one page less',
    user: 'reactor/file-pipe',
    part: 'Math.floor(position / PAGE) + 1;',
    by: 'Math.floor(position / PAGE);',
  },
  {
    name: 'the pool keeps any number of pipes',
    user: 'reactor/file-pipe',
    part: ' || this.#idle.length >= MAX_IDLE',
    by: '',
  },
  {
    name: 'no file is sent through a pipe',
    user: 'reactor/file-pipe',
    part: 'if (this.#refused)',
    by: 'if (true)',
  },
  {
    name: 'no time to linger',
    user: 'reactor/connection-context',
    part: 'lingerMs: LINGER_MS',
    by: 'lingerMs: 0',
  },
];
