// The text of config.v1.json: defaults, unknown keys, and wrong types with their path. No file is opened here.
import { test } from 'tap';
import { MAX_MESSAGE_LENGTH } from '../../../daemon/errors.js';
import { parseImageConfig } from '../../../daemon/config/image-config.js';

const parse = (json: string) => parseImageConfig(json, 'config.v1.json');
const refusal = (message: RegExp) => ({ code: 'BAD_CONFIG', message });

const NO_UPPER = { index: '', data: '', target: '', gzipIndex: '' };
const NO_LOWER = {
  file: '',
  dir: '',
  digest: '',
  size: 0,
  targetFile: '',
  targetDigest: '',
  gzipIndex: '',
};

await test('keys that are left out are empty', (t) => {
  t.same(parse('{}'), {
    repoBlobUrl: '',
    lowers: [],
    upper: NO_UPPER,
    resultFile: '',
    accelerationLayer: false,
    recordTracePath: '',
  });
  t.same(parse('{"lowers":[{},{"file":"a"}]}').lowers, [NO_LOWER, { ...NO_LOWER, file: 'a' }]);
  t.same(parse('{"upper":{}}').upper, NO_UPPER);
  t.end();
});

await test('a configuration as snapshotters write it', (t) => {
  const config = parse(`{
    "repoBlobUrl": "https://registry.example/v2/app/blobs",
    "lowers": [
      {"digest": "sha256:aa", "size": 123456, "dir": "/var/lib/snapshots/1/block"},
      {"file": "/opt/base.obd"}
    ],
    "upper": {"index": "/w/index", "data": "/w/data"},
    "resultFile": "/w/result",
    "download": {"enable": true, "delay": "soon"},
    "accelerationLayer": true,
    "recordTracePath": "/w/trace"
  }`);
  t.match(config, {
    repoBlobUrl: 'https://registry.example/v2/app/blobs',
    lowers: [
      { digest: 'sha256:aa', size: 123_456, dir: '/var/lib/snapshots/1/block', file: '' },
      { file: '/opt/base.obd' },
    ],
    upper: { index: '/w/index', data: '/w/data' },
    accelerationLayer: true,
  });
  t.end();
});

await test('unknown keys are ignored at every level, as upstream does', (t) => {
  t.equal(parse('{"lowers":[{"file":"a","colour":1}],"upper":{"x":[]},"y":null}').lowers.length, 1);
  t.end();
});

await test('wrong types are errors with their path', (t) => {
  const cases: [string, RegExp][] = [
    [
      '{"lowers":[{"file":"a"},{"file":3}]}',
      /^config\.v1\.json: lowers\.1\.file: 3 is not a string$/,
    ],
    ['{"lowers":[{"dir":null}]}', /lowers\.0\.dir: null is not a string$/],
    ['{"lowers":[{"digest":[]}]}', /lowers\.0\.digest: an array is not a string$/],
    ['{"lowers":[{"size":"1"}]}', /lowers\.0\.size: .*number/],
    ['{"lowers":[{"size":-1}]}', /lowers\.0\.size: .*-1/],
    ['{"lowers":[{"size":1.5}]}', /lowers\.0\.size: .*1\.5/],
    ['{"lowers":["a"]}', /lowers\.0: "a" is not an object$/],
    ['{"lowers":[[]]}', /lowers\.0: an array is not an object$/],
    ['{"lowers":{}}', /lowers: an object is not an array$/],
    ['{"lowers":"a"}', /lowers: "a" is not an array$/],
    ['{"upper":"a"}', /upper: "a" is not an object$/],
    ['{"upper":[]}', /upper: an array is not an object$/],
    ['{"upper":{"index":1}}', /upper\.index: 1 is not a string$/],
    ['{"accelerationLayer":"true"}', /accelerationLayer: "true" is not true or false$/],
    ['{"repoBlobUrl":7}', /repoBlobUrl: 7 is not a string$/],
    ['[]', /^config\.v1\.json: an array is not an object$/],
    ['null', /^config\.v1\.json: null is not an object$/],
    ['"a"', /^config\.v1\.json: "a" is not an object$/],
  ];
  for (const [json, message] of cases) t.throws(() => parse(json), refusal(message), json);
  t.end();
});

await test('of several errors the first one is reported', (t) => {
  t.throws(
    () => parse('{"repoBlobUrl":1,"lowers":[{"file":2}]}'),
    refusal(/repoBlobUrl: 1 is not a string$/),
  );
  t.throws(
    () => parse(`{"lowers":[${'1,'.repeat(254)}1]}`),
    refusal(/lowers\.0: 1 is not an object$/),
  );
  t.end();
});

const many = (count: number, rest = ''): string => `{"lowers":[${'1,'.repeat(count - 1)}1]${rest}}`;

await test('too many lowers are refused before each is parsed', (t) => {
  for (const count of [256, 2_000_000]) {
    t.throws(() => parse(many(count)), {
      code: 'LIMIT',
      message: `config.v1.json: lowers: ${count} layers, at most 255`,
    });
  }
  const accelerated = ',"accelerationLayer":true';
  t.throws(() => parse(many(257, accelerated)), {
    code: 'LIMIT',
    message: /257 layers, at most 256$/,
  });
  t.throws(() => parse(many(256, accelerated)), refusal(/lowers\.0: /));
  t.end();
});

await test('messages have a maximum length, however long a value is', (t) => {
  const long = 'x'.repeat(1 << 20);
  const cases = [
    `{"lowers":[{"size":"${long}"}]}`,
    `{"lowers":[{"file":["${long}"]}]}`,
    `{"upper":"${long}"}`,
    `{"${long}":1,"${long}":2}`,
    `{"lowers":[}${long}`,
  ];
  for (const json of cases) {
    let message = '';
    try {
      parse(json);
    } catch (error) {
      message = (error as Error).message;
    }
    t.match(message, /^config\.v1\.json: /);
    t.ok(message.length <= MAX_MESSAGE_LENGTH, `${message.length} characters`);
  }
  t.end();
});

await test('one byte order mark is skipped', (t) => {
  t.equal(parse('\ufeff{"repoBlobUrl":"a"}').repoBlobUrl, 'a');
  t.throws(() => parse('\ufeff\ufeff{}'), refusal(/not JSON/));
  t.end();
});

await test('a duplicate key is an error, because either value could be meant', (t) => {
  const cases: [string, RegExp][] = [
    ['{"upper":{},"lowers":[],"upper":{}}', /: upper: duplicate key$/],
    ['{"lowers":[{"file":"a"},{"file":"b","dir":"c","file":"d"}]}', /: lowers\.1\.file: /],
    // Written with an escape, and in an object that is not read.
    ['{"x":{"y":[1,{"\\u0061":1,"a":2}]}}', /: x\.y\.1\.a: /],
  ];
  for (const [json, message] of cases) t.throws(() => parse(json), refusal(message), json);
  t.doesNotThrow(() => parse('{"a":{"b":1},"c":{"b":1},"d":[{"b":"a,b:{\\"b\\":1}"},{"b":2}]}'));
  t.end();
});

await test('numbers beyond 2^53 are quoted as they are written', (t) => {
  const cases: [string, string][] = [
    ['{"repoBlobUrl":9007199254740993}', '9007199254740993'],
    ['{"lowers":[{},{"dir":-18446744073709551617}]}', '-18446744073709551617'],
    ['{"lowers":[{"size":-9007199254740993}]}', '-9007199254740993'],
    ['{"lowers":[{"size":1e400}]}', '1e400'],
    ['{"repoBlobUrl":9007199254740993.5}', '9007199254740993\\.5'],
  ];
  for (const [json, number] of cases)
    t.throws(() => parse(json), refusal(new RegExp(`: ${number} is not a `)));
  t.end();
});

const nested = (depth: number): string => `{"x":${'['.repeat(depth)}${']'.repeat(depth)}}`;

await test('JSON that is nested too deeply is refused', (t) => {
  t.doesNotThrow(() => parse(nested(63)));
  for (const depth of [64, 1_000_000]) {
    t.throws(() => parse(nested(depth)), refusal(/: more than 64 levels deep$/), `${depth}`);
  }
  t.end();
});

await test('strict JSON: no comments, no trailing commas, nothing after the end', (t) => {
  for (const json of ['', '{', '{"lowers":[],}', '{} // done', '{"a":1}{', "{'a':1}", '\u0000']) {
    t.throws(() => parse(json), refusal(/^config\.v1\.json: not JSON: ./), JSON.stringify(json));
  }
  t.end();
});
