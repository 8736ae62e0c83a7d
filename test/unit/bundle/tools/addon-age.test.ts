// The bundle is not made with an addon that is missing or older than its sources.
import { mkdirSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { checkAddonAge } from '../../../../daemon/bundle/tools/addon-age.js';

await test('an addon must be there, and newer than all of its sources', (t) => {
  const native = t.testdir();
  mkdirSync(join(native, 'src'));
  const [addon, gyp, source] = ['addon.node', 'binding.gyp', 'src/file.cc'].map((name) =>
    join(native, name),
  ) as [string, string, string];
  write(gyp, 1000);
  write(source, 2000);
  t.throws(() => checkAddonAge(addon, native), {
    message: `${addon}: not there; run npm run build:native, then this again`,
  });
  write(addon, 1500);
  t.throws(() => checkAddonAge(addon, native), {
    message: `${addon}: older than ${source}; run npm run build:native, then this again`,
  });
  write(addon, 2000);
  checkAddonAge(addon, native);
  write(gyp, 3000);
  t.throws(() => checkAddonAge(addon, native), {
    message: `${addon}: older than ${gyp}; run npm run build:native, then this again`,
  });
  t.end();
});

function write(path: string, seconds: number): void {
  writeFileSync(path, '');
  utimesSync(path, seconds, seconds);
}
