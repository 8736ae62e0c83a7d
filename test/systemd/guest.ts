// Runs the cases of one machine inside it; vm-run --systemd has booted it.
import { runCases, type Case } from '../kernel/checks.js';
import { CASES } from './cases.js';
import type { HostCase } from './host-case.js';
import { must, sh } from './shell.js';

const [images = '', ...names] = process.argv.slice(2);
const found = names.map((name) => {
  const each = CASES.find((one) => one.name === name);
  if (!each) throw new Error(`no case is named ${name}`);
  return each;
});

/** @param isFirst whether `before` has prepared the machine for it */
function onThisMachine(each: HostCase, isFirst: boolean): Case<string> {
  const { continues, run, timeout = 300 } = each;
  const { commands } = continues ?? {};
  if (isFirst || commands === undefined) return { ...each, timeout };
  return {
    ...each,
    timeout,
    async run(check, folder) {
      must(check, 'the machine is prepared', commands);
      await run(check, folder);
    },
  };
}

const journal = (): string =>
  sh(
    'journalctl -b --no-pager -o short-monotonic | grep -Ev " kernel: [^bnE]" | tail -n 60; systemctl list-jobs; systemctl --failed',
  ).stdout;
const cases = found.map((each, i) => onThisMachine(each, i === 0));
const good = await runCases(cases, images, journal);
if (good) await found.at(-1)?.powerOff?.();
process.exit(good ? 0 : 1);
