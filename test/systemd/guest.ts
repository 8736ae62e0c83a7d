// Runs one case inside the machine that vm-run --systemd has booted.
import { runCases } from '../kernel/checks.js';
import { CASES } from './cases.js';
import { sh } from './shell.js';

const [name = '', images = ''] = process.argv.slice(2);
const found = CASES.find((each) => each.name === name);
if (!found) throw new Error(`no case is named ${name}`);

const journal = (): string =>
  sh(
    'journalctl -b --no-pager -o short-monotonic | grep -Ev " kernel: [^bnE]" | tail -n 60; systemctl list-jobs; systemctl --failed',
  ).stdout;
const good = await runCases([{ timeout: 300, ...found }], images, journal);
if (good && found.powerOff) await found.powerOff();
process.exit(good ? 0 : 1);
