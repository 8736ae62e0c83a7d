// The text of config.v1.json: defaults, unknown keys, and wrong types by their path. Files are not looked for here.
import { test } from 'tap';
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

await test('what is left out is empty', (t) => {
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

await test('wrong types are named by their path', (t) => {
  const cases: [string, RegExp][] = [
    ['{"lowers":[{"file":"a"},{"file":3}]}', /^config\.v1\.json: lowers\.1\.file: .*string.* 3$/],
    ['{"lowers":[{"dir":null}]}', /lowers\.0\.dir: .*string.*null/],
    ['{"lowers":[{"digest":[]}]}', /lowers\.0\.digest: .*string/],
    ['{"lowers":[{"size":"1"}]}', /lowers\.0\.size: .*number/],
    ['{"lowers":[{"size":-1}]}', /lowers\.0\.size: .*-1/],
    ['{"lowers":[{"size":1.5}]}', /lowers\.0\.size: .*1\.5/],
    ['{"lowers":["a"]}', /lowers\.0: .*Object.*"a"/],
    ['{"lowers":[[]]}', /lowers\.0: .*Object.*Array/],
    ['{"lowers":{}}', /lowers: .*Array/],
    ['{"lowers":"a"}', /lowers: .*Array/],
    ['{"upper":"a"}', /upper: .*Object/],
    ['{"upper":[]}', /upper: .*Object.*Array/],
    ['{"upper":{"index":1}}', /upper\.index: .*string/],
    ['{"accelerationLayer":"true"}', /accelerationLayer: .*boolean/],
    ['{"repoBlobUrl":7}', /repoBlobUrl: .*string/],
    ['[]', /the whole file: .*Object.*Array/],
    ['null', /the whole file: .*Object.*null/],
    ['"a"', /the whole file: .*Object/],
  ];
  for (const [json, message] of cases) t.throws(() => parse(json), refusal(message), json);
  t.end();
});

await test('all that is wrong is told at once', (t) => {
  t.throws(
    () => parse('{"repoBlobUrl":1,"lowers":[{"file":2}]}'),
    refusal(/repoBlobUrl: .*; lowers\.0\.file: /),
  );
  t.end();
});

await test('strict JSON: no comments, no trailing commas, nothing behind', (t) => {
  for (const json of ['', '{', '{"lowers":[],}', '{} // done', '{"a":1}{', "{'a':1}", '\u0000']) {
    t.throws(() => parse(json), refusal(/^config\.v1\.json: not JSON: ./), JSON.stringify(json));
  }
  t.end();
});
