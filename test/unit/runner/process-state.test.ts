// What a test file must leave as it finds it.
import { test } from 'tap';
import { changesOf, stateOfProcess } from '../../runner/process-state.js';

const NAME = 'OVERLAYBD_TEST_OF_STATE';
const listener = (): void => undefined;

await test('each change is named', async (t) => {
  const { argv } = process;
  const { now } = Date;
  const folder = process.cwd();
  const before = stateOfProcess();
  t.same(changesOf(before, stateOfProcess()), []);
  const changes: readonly (readonly [string, () => void, () => void])[] = [
    [`$${NAME}`, () => (process.env[NAME] = '1'), () => delete process.env[NAME]],
    ['process.argv', () => (process.argv = [...argv]), () => (process.argv = argv)],
    ['Date.now', () => (Date.now = () => 7), () => (Date.now = now)],
    ['the working directory', () => process.chdir('/'), () => process.chdir(folder)],
    ['the exit code', () => (process.exitCode = 3), () => (process.exitCode = 0)],
    [
      `globalThis.${NAME}`,
      () => Object.assign(globalThis, { [NAME]: 1 }),
      () => Reflect.deleteProperty(globalThis, NAME),
    ],
    [
      'listeners of process for SIGUSR2',
      () => process.on('SIGUSR2', listener),
      () => process.off('SIGUSR2', listener),
    ],
  ];
  for (const [name, make, undo] of changes) {
    make();
    const found = changesOf(before, stateOfProcess());
    undo();
    t.same(found, [name]);
  }
  t.same(changesOf(before, stateOfProcess()), []);
});
