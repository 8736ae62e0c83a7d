// Other projects' NBD clients inside TLS; a client that is not installed is skipped by name.
import { createHash } from 'node:crypto';
import { createReadStream, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import t from 'tap';
import { DaemonProcess, runDaemon, shortFolder } from '../support/daemon-process.js';
import { randomBytes } from '../support/pattern.js';
import { makePki } from '../support/tls-files.js';
import { requireTool, runTool } from '../support/tools.js';

if (!requireTool(t, 'openssl')) process.exit(0);
t.setTimeout(900_000);
const SIZE = 200_000_000;
const folder = shortFolder(t);
const pki = await makePki(folder);
const image = join(folder, 'disk.img');
writeImage();
const config = join(folder, 'daemon.json');
writeFileSync(
  config,
  JSON.stringify({
    exports: { disk: 'disk.img' },
    tls: {
      certificate: 'server-cert.pem',
      key: 'server-key.pem',
      clientCa: 'ca-cert.pem',
      clientNames: ['alice'],
      pskFile: 'keys.psk',
    },
  }),
);
const daemon = await DaemonProcess.start(t, ['--config', config], {
  listen: ['tcp://127.0.0.1:0'],
});
const { port } = daemon.tcp;
const x509Uri = `nbds://localhost:${port}/disk?tls-certificates=${pki.clientFolder}`;
const pskUri = `nbds://alice@localhost:${port}/disk?tls-psk-file=${join(pki.clientFolder, 'keys.psk')}`;
const unixUri = `nbds+unix://alice@/disk?socket=${daemon.socketPath}&tls-psk-file=${pki.pskFile}`;

await t.test('nbdinfo with certificates and with a pre-shared key', async (test) => {
  if (!requireTool(test, 'nbdinfo')) return;
  for (const uri of [x509Uri, pskUri, unixUri]) {
    const { code, stdout, stderr } = await runTool('nbdinfo', ['--json', uri]);
    test.equal(code, 0, stderr);
    test.match(JSON.parse(stdout), { TLS: true, exports: [{ 'export-size': SIZE }] });
  }
  const plain = await runTool('nbdinfo', [`nbd://localhost:${port}/disk`]);
  test.not(plain.code, 0);
  test.match(plain.stderr, /TLS|not supported/);
  const wrong = await runTool('nbdinfo', [pskUri.replace('alice@', 'carol@')]);
  test.not(wrong.code, 0);
});

await t.test('nbdcopy of 200 MB inside TLS', async (test) => {
  if (!requireTool(test, 'nbdcopy')) return;
  const out = join(folder, 'copy.img');
  const expected = await sha256(image);
  for (const [uri, args] of [
    [x509Uri, []],
    [pskUri, ['--connections=1', '--requests=64', '--request-size=4194304']],
  ] as const) {
    rmSync(out, { force: true });
    const { code, stderr } = await runTool('nbdcopy', [...args, uri, out]);
    test.equal(code, 0, stderr);
    test.equal(await sha256(out), expected);
  }
  rmSync(out, { force: true });
});

await t.test('qemu-img with certificates and with a pre-shared key', async (test) => {
  if (!requireTool(test, 'qemu-img')) return;
  const target = `driver=nbd,host=localhost,port=${port},export=disk,tls-creds=t`;
  for (const creds of [
    `tls-creds-x509,id=t,dir=${pki.clientFolder},endpoint=client`,
    `tls-creds-psk,id=t,dir=${pki.clientFolder},endpoint=client,username=alice`,
  ]) {
    const file = `driver=raw,file.driver=file,file.filename=${image}`;
    const args = ['compare', '--object', creds, '--image-opts', target, file];
    const compare = await runTool('qemu-img', args);
    test.equal(compare.code, 0, compare.stderr);
    test.match(compare.stdout, /identical/);
  }
  const plain = await runTool('qemu-img', ['info', `nbd://localhost:${port}/disk`]);
  test.not(plain.code, 0);
});

await t.test('unusable TLS files are errors at the start', async (test) => {
  for (const [args, message] of [
    [['--tls', 'require'], /tls: mode "require" needs a certificate/],
    [['--tls', 'maybe'], /tls/],
    [['--tls-cert', pki.server.certificate], /tls: a certificate without key/],
    [
      ['--tls-cert', pki.server.certificate, '--tls-key', pki.alice.key],
      /alice-key\.pem: not the key of .*server-cert\.pem/,
    ],
    [['--tls-psk', image], /disk\.img: /],
  ] as const) {
    const result = await runDaemon(['serve', image, '-l', `unix://${folder}/x.sock`, ...args]);
    test.equal(result.code, 2, args.join(' '));
    test.match(result.stderr, message);
    test.notMatch(result.stderr, /\.js:\d+/);
  }
});

await t.test('the daemon logged no warning or error', async (test) => {
  await daemon.stop(test);
  test.same(daemon.lines(/ error: /), []);
});

/** In different pieces, without 200 MB in memory at once. */
function writeImage(): void {
  const piece = randomBytes(9, 1 << 20);
  writeFileSync(image, '');
  for (let at = 0; at < SIZE; at += piece.length) {
    piece.writeUInt32BE(at, 0);
    const part = piece.subarray(0, Math.min(piece.length, SIZE - at));
    writeFileSync(image, part, { flag: 'a' });
  }
}

async function sha256(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
