// Our own daemon.json: every key and limit, and that nothing misspelt or odd passes in silence.
import { test } from 'tap';
import { parseDaemonConfig } from '../../../daemon/config/daemon-config.js';

const parse = (json: string) => parseDaemonConfig(json, 'daemon.json');
const refusal = (message: RegExp) => ({ code: 'BAD_CONFIG', message });

await test('everything may be left out', (t) => {
  t.same(parse('{}'), {});
  t.same(parse('{"log":{},"exports":{},"listen":[]}'), { log: {}, exports: {}, listen: [] });
  t.end();
});

await test('everything may be given', (t) => {
  const config = {
    listen: ['tcp://[::1]:10809', 'unix:///run/nbd.sock'],
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
