// The bar of a command that waits for a daemon: on a terminal, of the image that it waits for, until the work ends.
import { EventEmitter, once } from 'node:events';
import { test } from 'tap';
import { withOpeningBar } from '../../../daemon/cli/opening-bar.js';

const opening = { bytes: 1 << 20, total: 4 << 20, layer: 1, layers: 2 };

class Terminal {
  readonly isTTY: boolean;
  text = '';
  /** Called when something is written. */
  written: () => void = () => undefined;

  constructor(isTTY: boolean) {
    this.isTTY = isTTY;
  }

  write(text: string): void {
    this.text += text;
    this.written();
  }
}

const twoOpenings = () =>
  Promise.resolve({
    openings: [
      { ...opening, image: 'other', bytes: 0 },
      { ...opening, image: 'app' },
    ],
  });
const noDaemon = () => Promise.reject(new Error('no daemon'));

await test('a terminal sees how far the image is', async (t) => {
  const terminal = new Terminal(true);
  const shown = new Promise<void>((resolve) => (terminal.written = resolve));
  const result = await withOpeningBar('app', twoOpenings, () => shown.then(() => 5), terminal);
  t.equal(result, 5);
  t.match(terminal.text, / 25 % 1\.0 MiB of 4\.0 MiB/);
  t.notMatch(terminal.text, / 0 % /);
});

await test('without a terminal the daemon is not asked', async (t) => {
  const terminal = new Terminal(false);
  t.equal(await withOpeningBar(null, noDaemon, () => Promise.resolve(6), terminal), 6);
  t.equal(terminal.text, '');
});

await test('a daemon that does not answer spoils nothing', async (t) => {
  const terminal = new Terminal(true);
  const asked = new EventEmitter();
  const status = () => {
    asked.emit('status');
    return noDaemon();
  };
  const work = async (): Promise<number> => {
    await once(asked, 'status');
    return 7;
  };
  t.equal(await withOpeningBar(null, status, work, terminal), 7);
  t.equal(terminal.text, '');
  await t.rejects(withOpeningBar(null, status, noDaemon, terminal), { message: 'no daemon' });
});
