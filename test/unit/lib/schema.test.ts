// Errors about values from outside: the project's own plain sentence for every wrong value at every place of every
// schema, and none of valibot's texts.
import { test } from 'tap';
import * as v from 'valibot';
import { parseDaemonConfig } from '../../../daemon/config/daemon-config.js';
import { parseImageConfig } from '../../../daemon/config/image-config.js';
import { checkAttachRequest } from '../../../daemon/control/requests.js';
import { parseRecord } from '../../../daemon/devices/record.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import { parseHelperRequest } from '../../../daemon/kernel/helper-protocol.js';
import {
  checked,
  jsonObject,
  nonEmptyString,
  oneOf,
  someOf,
  strictObject,
  stringOf,
  wholeNumber,
} from '../../../daemon/lib/schema.js';
import { parseHandover } from '../../../daemon/upgrade/handover.js';

/** Words of valibot that no operator should have to read. */
const FOREIGN = /Invalid|Expected|[Rr]eceived|undefined|\[object|>=|<=|\bnever\b|Object|Array/;

const backend = 'overlaybd-nbd:0123456789abcdef';
const owner = { backend };
const connect = {
  index: 3,
  size: 4096,
  blockSize: 512,
  timeoutSeconds: 10,
  deadConnTimeoutSeconds: 90,
  serverFlags: 3,
  backend,
};
const record = {
  version: 1,
  id: '0123456789abcdef',
  index: 0,
  export: 'web',
  image: ['/a'],
  partition: 1,
  fingerprint: 'f',
  size: 512,
  since: '2026-01-01T00:00:00Z',
  connections: 2,
  timeoutSeconds: 10,
  deadConnTimeoutSeconds: 90,
  blockSize: 512,
  sizeMultiple: 4096,
  kernelPid: 7,
  boot: 'b',
  user: 0,
  onClose: true,
};

const json = (parse: (text: string, name: string) => unknown) => (value: unknown) =>
  parse(JSON.stringify(value), 'file.json');

/** Every schema, with a value that has every key. */
const SCHEMAS: readonly [string, (value: unknown) => unknown, object][] = [
  [
    'daemon.json',
    json(parseDaemonConfig),
    {
      listen: [
        'tcp://x',
        {
          address: 'unix:///s',
          exports: ['a'],
          users: [1, 'alice'],
          mode: '0660',
          owner: 'root',
          group: 0,
          maxConnectionsPerPeer: 2,
        },
      ],
      exports: { a: 'x', b: ['x', 'y'], c: { image: ['x'], partition: 2 } },
      strict: true,
      threads: 2,
      readDeadline: 8,
      log: { level: 'info', format: 'json' },
      tls: {
        mode: 'require',
        certificate: 'c',
        key: 'k',
        clientCa: 'a',
        clientNames: ['n'],
        pskFile: 'p',
      },
    },
  ],
  [
    'config.v1.json',
    json(parseImageConfig),
    {
      repoBlobUrl: 'u',
      lowers: [
        {
          file: 'f',
          dir: 'd',
          digest: 's',
          size: 1,
          targetFile: 't',
          targetDigest: 'g',
          gzipIndex: 'i',
        },
      ],
      upper: { index: 'i', data: 'd', target: 't', gzipIndex: 'g' },
      resultFile: 'r',
      accelerationLayer: true,
      recordTracePath: 'p',
    },
  ],
  [
    'attach request',
    checkAttachRequest,
    {
      image: ['/a'],
      partition: 1,
      sizeMultiple: 512,
      index: 1,
      reuse: true,
      connections: 2,
      timeoutSeconds: 10,
      deadConnTimeoutSeconds: 90,
      blockSize: 4096,
    },
  ],
  ['device record', json(parseRecord), record],
  ['connect', parseHelperRequest, { do: 'connect', request: connect }],
  ['reconfigure', parseHelperRequest, { do: 'reconfigure', index: 1, owner }],
  ['disconnectOnClose', parseHelperRequest, { do: 'disconnectOnClose', index: 1, owner }],
  ['release', parseHelperRequest, { do: 'release', index: 1, owner, onClose: true }],
  ['disconnect', parseHelperRequest, { do: 'disconnect', index: 1, owner }],
  [
    'hand-over',
    parseHandover,
    {
      channel: 3,
      state: { folder: '/f', lock: 4, control: 5 },
      failed: ['x'],
      sockets: [
        { fd: 6, key: 'k', name: 'n', uri: 'u', file: { path: '/p', device: 1, inode: 2 } },
      ],
    },
  ],
];

const WRONG = [null, true, -1, 1.5, 1e21, 0, '', 'x', '\u001b[2J', [], [[]], {}, { x: 1 }];

/** Copies of `value`, each with one thing changed, left out or added. */
function* variants(value: unknown): Generator {
  yield* WRONG;
  if (Array.isArray(value)) {
    for (const [i, item] of value.entries()) {
      for (const each of variants(item)) yield value.with(i, each);
    }
  } else if (typeof value === 'object' && value !== null) {
    yield { ...value, surprise: 1 };
    for (const [key, item] of Object.entries(value)) {
      const { [key]: _, ...others } = value as Record<string, unknown>;
      yield others;
      yield { ...others, [`${key}x`]: item };
      for (const each of variants(item)) yield { ...value, [key]: each };
    }
  }
}

await test("every wrong value gets a sentence without valibot's words", (t) => {
  for (const [name, parse, good] of SCHEMAS) {
    t.doesNotThrow(() => parse(good), `${name}: the good one`);
    let refused = 0;
    for (const wrong of variants(good)) {
      try {
        parse(wrong);
      } catch (error) {
        refused++;
        const { message } = error as Error;
        if (!(error instanceof OverlaybdError) || FOREIGN.test(message)) {
          t.fail(`${name}: ${JSON.stringify(wrong)}: ${message}`);
        }
      }
    }
    t.ok(refused > 20, `${name}: ${refused} refused`);
  }
  t.end();
});

const told = (schema: v.GenericSchema, value: unknown): string => {
  let text = '';
  const accepted = new Error('accepted');
  try {
    checked(schema, value, ({ section, why }) => {
      text = section === undefined ? why : `${section}: ${why}`;
      return accepted;
    });
  } catch (error) {
    if (error !== accepted) throw error;
  }
  return text;
};

await test('the exact sentences', (t) => {
  const schema = strictObject({
    listen: v.optional(v.string()),
    threads: v.optional(wholeNumber(1, 64)),
    most: v.optional(wholeNumber(1)),
    level: v.optional(oneOf(['info', 'warn'])),
    names: v.optional(someOf(nonEmptyString, 2)),
    mode: v.optional(stringOf('octal digits', /^[0-7]+$/)),
    on: v.optional(v.boolean()),
    version: v.optional(v.literal(1)),
    log: v.optional(strictObject({ level: v.string() })),
  });
  const cases: [unknown, string][] = [
    [{ lisen: '' }, 'unknown key "lisen"; did you mean "listen"?'],
    [
      { colour: '' },
      'unknown key "colour"; allowed: "listen", "threads", "most", "level", "names", "mode", "on", "version", "log"',
    ],
    [{ listen: 1 }, 'listen: 1 is not a string'],
    [{ threads: 0 }, 'threads: 0 is not a whole number from 1 to 64'],
    [{ threads: '2' }, 'threads: "2" is not a whole number from 1 to 64'],
    [{ threads: null }, 'threads: null is not a whole number from 1 to 64'],
    [{ most: 0 }, 'most: 0 is not a whole number, 1 or more'],
    [
      { most: 2 ** 60 },
      'most: 1152921504606847000 is not a whole number from 1 to 9007199254740991',
    ],
    [{ level: 'wran' }, 'level: "wran" is not one of "info", "warn"; did you mean "warn"?'],
    [{ names: [] }, 'names: the array is empty'],
    [{ names: ['a', 'b', 'c'] }, 'names: the array has 3 items; at most 2 are allowed'],
    [{ names: ['a', ''] }, 'names.1: "" is not a string with at least one character'],
    [{ names: {} }, 'names: an object is not an array'],
    [{ mode: '9' }, 'mode: "9" is not octal digits'],
    [{ on: 1 }, 'on: 1 is not true or false'],
    [{ version: 2 }, 'version: 2 is not 1'],
    [{ log: {} }, 'log: the key "level" is missing'],
    [{ log: { colour: 1 } }, 'log: the key "level" is missing'],
    [{ log: { levle: 'x' } }, 'log: unknown key "levle"; did you mean "level"?'],
    [{ log: { level: 'x', levle: 1 } }, 'log: unknown key "levle"; did you mean "level"?'],
    [[], 'an array is not an object'],
    ['x'.repeat(1000), `"${'x'.repeat(100)}..." is not an object`],
  ];
  for (const [value, text] of cases) t.equal(told(schema, value), text);
  t.equal(told(schema, { threads: 64 }), '');
  t.equal(told(v.array(jsonObject), [{}, 1]), '1: 1 is not an object');
  t.equal(told(v.union([v.string(), v.number()]), true), 'true is not allowed here');
  t.end();
});
