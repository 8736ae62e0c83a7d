// Every readable golden fixture through one real daemon and nbdcopy; test/contract/fixtures.test.ts reads all of them without NBD.
import { createHash } from 'node:crypto';
import { closeSync, mkdirSync, openSync, readSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import tap, { test } from 'tap';
import { DaemonProcess } from '../support/daemon-process.js';
import { expectedSha256, fixtureNames, fixturesRoot, withHoles } from '../support/fixtures.js';
import { requireTool, runTool } from '../support/tools.js';

tap.setTimeout(900_000);

/** One bit of this fixture is wrong: it opens, and reading that block must fail. */
const CORRUPT = 'neg-z01-crc-flip';

const root = fixturesRoot();
const absent =
  root === null && 'FIXTURES NOT FOUND: neither ../shared/fixtures nor $OVERLAYBD_FIXTURES';

/** Of gigabytes, most of them holes: large reads into one buffer. */
function sha256(path: string): string {
  const hash = createHash('sha256');
  const buffer = Buffer.alloc(1 << 20);
  const fd = openSync(path, 'r');
  for (let length = readSync(fd, buffer); length > 0; length = readSync(fd, buffer))
    hash.update(buffer.subarray(0, length));
  closeSync(fd);
  return hash.digest('hex');
}

await test('the golden fixtures through nbdcopy', { skip: absent }, async (t) => {
  if (root === null || !requireTool(t, 'nbdcopy')) return;
  const folder = t.testdir();
  const served = new Map<string, string>();
  for (const name of fixtureNames(root)) {
    const config = withHoles(join(root, name), () => {
      const own = join(folder, name);
      mkdirSync(own);
      return own;
    });
    if (config === null) continue;
    if (expectedSha256(root, name) !== null || name === CORRUPT) served.set(name, config);
  }
  t.ok(served.size > 0, `${served.size} fixtures`);
  const args = [...served].flatMap(([name, config]) => ['--export', `${name}=${config}`]);
  const daemon = await DaemonProcess.start(t, args);
  const copy = join(folder, 'copy.img');
  for (const name of served.keys()) {
    rmSync(copy, { force: true });
    const { code, stderr } = await runTool('nbdcopy', [daemon.unixUri(name), copy]);
    if (name === CORRUPT) {
      t.not(code, 0, `${name}: must fail`);
      await daemon.waitForLines(/neg-z01-crc-flip.*block 2 at byte 1906: expected checksum/);
      continue;
    }
    t.equal(code, 0, stderr);
    t.equal(sha256(copy), expectedSha256(root, name), name);
  }
  await daemon.stop(t);
});
