// daemon.json: every key and limit; unknown keys and odd values are always errors.
import { test } from 'tap';
import { parseDaemonConfig } from '../../../daemon/config/daemon-config.js';

const parse = (json: string) => parseDaemonConfig(json, 'daemon.json');
/** A file with one listener that has settings of its own. */
const listener = (json: string, address = 'unix:///s') =>
  `{"listen":[{"address":"${address}",${json}}]}`;
const refusal = (message: RegExp) => ({ code: 'BAD_CONFIG', message });

await test('every key may be left out', (t) => {
  t.same(parse('{}'), {});
  t.same(parse('{"log":{},"exports":{},"listen":[]}'), { log: {}, exports: {}, listen: [] });
  t.end();
});

await test('every key may be given', (t) => {
  const config = {
    listen: [
      'tcp://[::1]:10809',
      'unix:///run/nbd.sock',
      { address: 'vsock://:1' },
      {
        address: 'unix:///run/web.sock',
        exports: ['two layers'],
        users: [0, 'alice'],
        mode: '0660',
        owner: 'nbd',
        group: 7,
        maxConnectionsPerPeer: 3,
      },
      { address: 'fd://web', users: [], exports: [] },
    ],
    exports: { '': 'image.json', 'two layers': ['base.obd', 'app.obd'] },
    threads: 4,
    log: { level: 'debug', format: 'json' },
  };
  t.same(parse(JSON.stringify(config)), config);
  t.end();
});

await test('unknown keys are errors with their path', (t) => {
  t.throws(
    () => parse('{"export":{}}'),
    refusal(/^daemon\.json: unknown key "export"; did you mean "exports"\?$/),
  );
  t.throws(
    () => parse('{"log":{"levle":"info"}}'),
    refusal(/: log: unknown key "levle"; did you mean "level"\?$/),
  );
  t.end();
});

await test('wrong values are errors with their path', (t) => {
  const cases: [string, RegExp][] = [
    ['{"listen":"tcp://localhost"}', /listen: "tcp:\/\/localhost" is not an array$/],
    ['{"listen":[1]}', /listen\.0: 1 is not an address, or an object with an address$/],
    ['{"listen":[null]}', /listen\.0: null is not an address, or an object with an address$/],
    ['{"listen":[["tcp://x"]]}', /listen\.0: an array is not an address, or an object with/],
    ['{"listen":["tcp://a","ftp://b"]}', /listen\.1: listen address "ftp:\/\/b" is not one of/],
    ['{"listen":[{}]}', /listen\.0: the key "address" is missing$/],
    [
      '{"listen":[{"adress":"tcp://a"}]}',
      /listen\.0: unknown key "adress"; did you mean "address"\?$/,
    ],
    ['{"listen":[{"address":7}]}', /listen\.0\.address: 7 is not a string$/],
    ['{"listen":[{"address":"tcp://a:b"}]}', /listen\.0\.address: .*"tcp:\/\/a:b" is not one of/],
    [
      '{"listen":["tcp://a",{"address":"tcp://a","adress":1}]}',
      /listen\.1: unknown key "adress"; did you mean "address"\?$/,
    ],
    [listener('"exports":"a"'), /listen\.0\.exports: "a" is not an array$/],
    [listener('"exports":["a",1]'), /listen\.0\.exports\.1: 1 is not a string$/],
    [listener('"users":["a",-1]'), /users\.1: -1 is not a whole number from 0 to 4294967294$/],
    [listener('"users":[4294967295]'), /users\.0: 4294967295 is not a whole number from 0 to/],
    [listener('"users":[1.5]'), /users\.0: 1\.5 is not a whole number/],
    [listener('"users":[""]'), /users\.0: "" is not the name or the number of an account$/],
    [listener('"owner":null'), /owner: null is not the name or the number of an account$/],
    [listener('"group":{}'), /group: an object is not the name or the number of/],
    [listener('"mode":660'), /listen\.0\.mode: 660 is not a string of octal digits like "0660"$/],
    [listener('"mode":"0688"'), /listen\.0\.mode: "0688" is not a string of octal digits/],
    [listener('"mode":"4755"'), /listen\.0\.mode: "4755" is not a string of octal digits/],
    [
      listener('"maxConnectionsPerPeer":0'),
      /maxConnectionsPerPeer: 0 is not a whole number, 1 or more$/,
    ],
    [listener('"maxConnectionsPerPeer":1.5'), /listen\.0\.maxConnectionsPerPeer: /],
    [listener('"users":[0]', 'tcp://x'), /listen\.0\.users: only for Unix sockets, not for tcp:/],
    [listener('"users":[0]', 'vsock://:1'), /listen\.0\.users: only for Unix sockets/],
    [listener('"mode":"0600"', 'tcp://x'), /listen\.0\.mode: only for unix:\/\/ addresses, not/],
    [listener('"owner":0', 'vsock://:1'), /listen\.0\.owner: only for unix:\/\/ addresses, not/],
    [listener('"group":0', 'fd://web'), /listen\.0\.group: only for unix:\/\/ addresses, not/],
    ['{"threads":0}', /^daemon\.json: threads: 0 is not a whole number from 1 to 256$/],
    ['{"threads":257}', /threads: 257 is not a whole number from 1 to 256$/],
    ['{"threads":1.5}', /threads: 1\.5 is not a whole number/],
    ['{"threads":"2"}', /threads: "2" is not a whole number/],
    ['{"exports":{"a":[]}}', /exports\.a: the array is empty$/],
    ['{"exports":{"a":""}}', /exports\.a: "" is not a path, or an array of paths$/],
    ['{"exports":{"a":["x",""]}}', /exports\.a\.1: "" is not a path$/],
    ['{"exports":{"a":[1]}}', /exports\.a\.0: 1 is not a path$/],
    ['{"exports":{"a":7}}', /exports\.a: 7 is not a path, or an array of paths$/],
    ['{"exports":["image.json"]}', /exports: an array is not an object$/],
    ['{"log":[]}', /log: an array is not an object$/],
    [
      '{"log":{"level":"loud"}}',
      /log\.level: "loud" is not one of "error", "warn", "info", "debug"$/,
    ],
    ['{"log":{"format":"xml"}}', /log\.format: "xml" is not one of "pretty", "json"$/],
    ['[]', /^daemon\.json: an array is not an object$/],
    ['7', /^daemon\.json: 7 is not an object$/],
    ['{', /not JSON/],
    [
      '{"threads":9007199254740993}',
      /threads: 9007199254740993 is not a whole number from 1 to 256$/,
    ],
    ['{"exports":{"a":"x","b":"y","a":"z"}}', /exports\.a: duplicate key$/],
    ['{"log":{},"lgo":{}}', /: unknown key "lgo"; did you mean "log"\?$/],
    ['{"log":{"levle":"info"}}', /: log: unknown key "levle"; did you mean "level"\?$/],
    ['{"log":{},"log":{"level":"info"}}', /log: duplicate key$/],
  ];
  for (const [json, message] of cases) t.throws(() => parse(json), refusal(message), json);
  t.end();
});

await test('no export is lost, whatever its name', (t) => {
  for (const name of ['constructor', 'prototype', '__proto__']) {
    t.throws(
      () => parse(`{"exports":{"${name}":"a","other":"b"}}`),
      refusal(new RegExp(`exports: .*${name}`)),
    );
  }
  t.same(parse('{"exports":{"toString":"a","0":"b"}}').exports, { toString: 'a', '0': 'b' });
  t.end();
});
