// containers' registries.conf.
import { test } from 'tap';
import { parseRegistriesConf, ruleFor } from '../../../../daemon/registry/http/registries-conf.js';

const RULES = parseRegistriesConf(`
  unqualified-search-registries = ["docker.io"]
  [[registry]]
  location = "a.example"
  mirror-by-digest-only = true
  [[registry.mirror]]
  location = "m1.example/a/"
  insecure = true
  [[registry.mirror]]
  location = "m2.example"
  pull-from-mirror = "tag-only"
  [[registry.mirror]]
  insecure = true
  [[registry]]
  prefix = "a.example/team"
  location = "b.example:5000/x"
  [[registry]]
  prefix = "*.wild.example"
  blocked = true
  [[registry]]
  insecure = true
`);

await test('mirrors, places, and what they are for', (t) => {
  t.equal(RULES.length, 3);
  t.same(RULES[0]?.mirrors, [
    { location: 'm1.example/a', isInsecure: true, forTags: false, forDigests: true },
    { location: 'm2.example', isInsecure: false, forTags: true, forDigests: false },
  ]);
  t.match(RULES[1], { prefix: 'a.example/team', location: 'b.example:5000/x', mirrors: [] });
  t.end();
});

await test('the longest prefix, by whole segments', (t) => {
  for (const [name, prefix, rest] of [
    ['a.example/x', 'a.example', '/x'],
    ['a.example/team/x', 'a.example/team', '/x'],
    ['a.example/team', 'a.example/team', ''],
    ['a.example/teams/x', 'a.example', '/teams/x'],
    ['a.example:5000/x', null, null],
    ['b.wild.example/x', '*.wild.example', '/x'],
    ['wild.example/x', null, null],
  ] as const) {
    const found = ruleFor(RULES, name);
    t.equal(found?.rule.prefix ?? null, prefix, name);
    t.equal(found?.rest ?? null, rest, name);
  }
  const twice = parseRegistriesConf(
    '[[registry]]\nlocation="a"\n[[registry]]\nprefix="a"\nblocked=true\n',
  );
  t.equal(ruleFor(twice, 'a/x')?.rule.isBlocked, true, 'the later one counts');
  t.end();
});

await test('what is wrong', (t) => {
  t.throws(() => parseRegistriesConf('[[registry'), TypeError);
  t.same(parseRegistriesConf('[registries.search]\nregistries = ["a"]'), [], 'version 1');
  t.throws(() => parseRegistriesConf('[[registry]]\n'.repeat(5000)), /more than 4096/);
  t.end();
});
