// Our own daemon.json: every key and limit, and that nothing misspelt or odd passes in silence.
import { test } from 'tap';
import { parseDaemonConfig } from '../../../daemon/config/daemon-config.js';

const parse = (json: string) => parseDaemonConfig(json, 'daemon.json');
/** A file with one listener that has something of its own. */
const listener = (json: string, address = 'unix:///s') =>
  `{"listen":[{"address":"${address}",${json}}]}`;
const refusal = (message: RegExp) => ({ code: 'BAD_CONFIG', message });

await test('everything may be left out', (t) => {
  t.same(parse('{}'), {});
  t.same(parse('{"log":{},"exports":{},"listen":[]}'), { log: {}, exports: {}, listen: [] });
  t.end();
});

await test('everything may be given', (t) => {
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

await test('misspelt keys are errors, by path', (t) => {
  t.throws(() => parse('{"export":{}}'), refusal(/^daemon\.json: export: /));
  t.throws(() => parse('{"log":{"levle":"info"}}'), refusal(/log\.levle: /));
  t.end();
});

await test('wrong values are errors, by path', (t) => {
  const cases: [string, RegExp][] = [
    ['{"listen":"tcp://localhost"}', /listen: .*Array/],
    ['{"listen":[1]}', /listen\.0: .*string/],
    ['{"listen":[null]}', /listen\.0: .*string/],
    ['{"listen":[["tcp://x"]]}', /listen\.0: .*Object.*Array/],
    ['{"listen":["tcp://a","ftp://b"]}', /listen\.1: listen address "ftp:\/\/b" is none of/],
    ['{"listen":[{}]}', /listen\.0\.address: /],
    ['{"listen":[{"address":7}]}', /listen\.0\.address: .*string/],
    ['{"listen":[{"address":"tcp://a:b"}]}', /listen\.0\.address: .*"tcp:\/\/a:b" is none of/],
    ['{"listen":["tcp://a",{"address":"tcp://a","adress":1}]}', /listen\.1\.adress: /],
    [listener('"exports":"a"'), /listen\.0\.exports: .*Array/],
    [listener('"exports":["a",1]'), /listen\.0\.exports\.1: .*string/],
    [listener('"users":["a",-1]'), /listen\.0\.users\.1: .*>=0/],
    [listener('"users":[4294967295]'), /listen\.0\.users\.0: .*<=4294967294/],
    [listener('"users":[1.5]'), /listen\.0\.users\.0: .*integer.*1\.5/],
    [listener('"users":[""]'), /listen\.0\.users\.0: .*length/],
    [listener('"owner":null'), /listen\.0\.owner: Expected a name or a number/],
    [listener('"group":{}'), /listen\.0\.group: Expected a name or a number/],
    [listener('"mode":660'), /listen\.0\.mode: Expected a string of octal digits/],
    [listener('"mode":"0688"'), /listen\.0\.mode: Expected octal digits/],
    [listener('"mode":"4755"'), /listen\.0\.mode: Expected octal digits/],
    [listener('"maxConnectionsPerPeer":0'), /listen\.0\.maxConnectionsPerPeer: .*>=1/],
    [listener('"maxConnectionsPerPeer":1.5'), /listen\.0\.maxConnectionsPerPeer: /],
    [listener('"users":[0]', 'tcp://x'), /listen\.0\.users: only for Unix sockets, not for tcp:/],
    [listener('"users":[0]', 'vsock://:1'), /listen\.0\.users: only for Unix sockets/],
    [listener('"mode":"0600"', 'tcp://x'), /listen\.0\.mode: only for unix:\/\/ addresses, not/],
    [listener('"owner":0', 'vsock://:1'), /listen\.0\.owner: only for unix:\/\/ addresses, not/],
    [listener('"group":0', 'fd://web'), /listen\.0\.group: only for unix:\/\/ addresses, not/],
    ['{"threads":0}', /threads: .*>=1.*0$/],
    ['{"threads":257}', /threads: .*<=256.*257$/],
    ['{"threads":1.5}', /threads: .*1\.5$/],
    ['{"threads":"2"}', /threads: .*number/],
    ['{"exports":{"a":[]}}', /exports\.a: .*length/],
    ['{"exports":{"a":[1]}}', /exports\.a/],
    ['{"exports":{"a":7}}', /exports\.a/],
    ['{"exports":["image.json"]}', /exports: .*Object.*Array/],
    ['{"log":[]}', /log: .*Object.*Array/],
    ['{"log":{"level":"loud"}}', /log\.level: .*"loud"$/],
    ['{"log":{"format":"xml"}}', /log\.format: .*"xml"$/],
    ['[]', /the whole file: .*Object.*Array/],
    ['7', /the whole file: .*Object/],
    ['{', /not JSON/],
    ['{"threads":9007199254740993}', /threads: .*<=256.* 9007199254740993$/],
    ['{"exports":{"a":"x","b":"y","a":"z"}}', /exports\.a: stands there twice$/],
    ['{"log":{},"lgo":{}}', /: lgo: unknown key$/],
    ['{"log":{"levle":"info"}}', /: log\.levle: unknown key$/],
    ['{"log":{},"log":{"level":"info"}}', /log: stands there twice$/],
  ];
  for (const [json, message] of cases) t.throws(() => parse(json), refusal(message), json);
  t.end();
});

await test('no export is dropped in silence, whatever its name', (t) => {
  for (const name of ['constructor', 'prototype', '__proto__']) {
    t.throws(
      () => parse(`{"exports":{"${name}":"a","other":"b"}}`),
      refusal(new RegExp(`exports: .*${name}`)),
    );
  }
  t.same(parse('{"exports":{"toString":"a","0":"b"}}').exports, { toString: 'a', '0': 'b' });
  t.end();
});
