// A thousand exports, and clients that ask for all of them in one handshake; clients that are not installed are skipped
// by name.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { NBD_INFO, NBD_OPT } from '../../daemon/nbd/constants.js';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { requireTool, runTool } from '../support/tools.js';

const COUNT = 1000;
const SIZE = 1000;

const folder = shortFolder(t);
writeFileSync(join(folder, 'disk.img'), Buffer.alloc(SIZE, 7));
const names = Array.from({ length: COUNT }, (_, i) => `registry.example/team/image-${i}:latest`);
const config = join(folder, 'daemon.json');
const exports = Object.fromEntries(names.map((name) => [name, 'disk.img']));
writeFileSync(config, JSON.stringify({ exports }));
const daemon = await DaemonProcess.start(t, ['--config', config], {
  listen: ['tcp://127.0.0.1:0'],
});
const uri = `nbd+unix://?socket=${daemon.socketPath}`;

await t.test('one handshake asks for every export several times', async (test) => {
  const client = await RawNbdClient.connect(daemon.unix);
  await client.handshake();
  test.same((await client.list()).toSorted(), names.toSorted());
  for (let round = 0; round < 3; round++) {
    for (const name of names) {
      const { size } = await client.go(name, [NBD_INFO.BLOCK_SIZE], NBD_OPT.INFO);
      if (size !== SIZE) test.fail(`${name}: ${size}`);
    }
  }
  await client.go(names[COUNT - 1]);
  test.same(await client.read(3, 500), Buffer.alloc(500, 7));
  await client.disconnect();
});

await t.test('qemu-nbd --list shows a thousand exports', async (test) => {
  if (!requireTool(test, 'qemu-nbd')) return;
  const args = ['--list', '--socket', daemon.socketPath];
  const { code, stdout, stderr } = await runTool('qemu-nbd', args);
  test.equal(code, 0, stderr);
  test.match(stdout, /exports available: 1000\b/);
  test.equal(stdout.match(/^ export: /gm)?.length, COUNT);
  test.equal(stdout.match(/^ {2}size: +1000$/gm)?.length, COUNT);
});

await t.test('nbdinfo --list shows a thousand exports', async (test) => {
  if (!requireTool(test, 'nbdinfo')) return;
  const { code, stdout, stderr } = await runTool('nbdinfo', ['--list', '--json', uri]);
  test.equal(code, 0, stderr);
  const told = JSON.parse(stdout) as {
    exports: { 'export-name': string; 'export-size': number }[];
  };
  test.equal(told.exports.length, COUNT);
  test.ok(told.exports.every((each) => each['export-size'] === SIZE));
});

await t.test('a client that only sends NBD_OPT_LIST for ever is closed', async (test) => {
  const client = await RawNbdClient.connect(daemon.unix);
  await client.handshake();
  // Other clients are served meanwhile.
  client.socket.resume();
  const flood = Buffer.concat(
    Array.from({ length: 1000 }, () =>
      Buffer.concat([Buffer.from('IHAVEOPT', 'latin1'), Buffer.from([0, 0, 0, 3, 0, 0, 0, 0])]),
    ),
  );
  client.send(flood);
  const other = await RawNbdClient.open(daemon.unix, names[0]);
  test.same(await other.read(0, 10), Buffer.alloc(10, 7));
  await other.disconnect();
  client.destroy();
});
