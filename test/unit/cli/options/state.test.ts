// Which state folder `serve` uses, and what works without one.
import { test } from 'tap';
import { devicesOf, stateOf } from '../../../../daemon/cli/options/state.js';

await test("the state folder is that of --state, or the user's own, or none", (t) => {
  t.same(stateOf({}, '/run/d'), { folder: '/run/d', isRequired: false });
  t.same(stateOf({ state: '/s' }, '/run/d'), { folder: '/s', isRequired: true });
  t.same(stateOf({ 'on-demand': true }, '/run/d'), { folder: '/run/d', isRequired: true });
  t.equal(stateOf({}, null), null, 'a daemon without a control socket and devices');
  t.throws(() => stateOf({ 'on-demand': true }, null), {
    code: 'BAD_ARGUMENT',
    message: /^--on-demand: needs a state folder/,
  });
  t.end();
});

await test('settings of devices are checked', (t) => {
  t.match(devicesOf({}), { maxDevices: 256, onDemand: false, helperSocket: /attach-helper/ });
  const args = { 'max-devices': 1, 'on-demand': true, 'attach-helper': '/h' };
  t.match(devicesOf(args), { maxDevices: 1, onDemand: true, helperSocket: '/h' });
  for (const count of [0, 1.5, 65537, -1]) {
    t.throws(() => devicesOf({ 'max-devices': count }), { code: 'BAD_ARGUMENT' }, `${count}`);
  }
  t.end();
});
