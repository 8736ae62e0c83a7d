// `warm` and `cache`, against a registry of this process: what they fetch, print, check and remove.
import { chmodSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { humanSize } from '../../daemon/lib/format-size.js';
import { DaemonProcess, commandLine, runDaemon, shortFolder } from '../support/daemon-process.js';
import { RawNbdClient } from '../support/nbd-client.js';
import { runTool } from '../support/tools.js';
import { compare, remoteImage, remoteOptions } from '../support/registry/remote-image.js';

t.setTimeout(300_000);

const NO_HOME = ['-u', 'CACHE_DIRECTORY', '-u', 'XDG_CACHE_HOME', 'HOME=/nonexistent'];

interface Listed {
  readonly bytes: number;
}

interface Entry {
  readonly digest: string;
  readonly isComplete: boolean;
  readonly isUsed: boolean;
}

await t.test('warm fetches an image, and cache shows, checks and removes it', async (test) => {
  const { front, files, image, name } = await remoteImage(test, {});
  const cache = join(shortFolder(test), 'cache');
  const options = remoteOptions([front], cache);
  const first = await runDaemon(['warm', name, ...options]);
  test.equal(first.code, 0, first.stderr);
  test.match(
    first.stdout,
    /^127\.0\.0\.1:\d+\/test\/app:app: \d+ layers?, .*iB, of which .* were fetched\n$/,
  );
  test.equal(front.log.duplicateBytes(), 0);
  const again = await runDaemon(['warm', name, ...options]);
  test.match(again, { code: 0, stdout: /, of which 0 bytes were fetched\n$/ }, again.stderr);

  const inCache = ['--cache-dir', cache];
  const listed = await runDaemon(['cache', 'ls', '--json', ...inCache]);
  const entries = JSON.parse(listed.stdout) as Entry[];
  const digests = image.layers.map(({ digest }) => digest);
  test.same(new Set(entries.map(({ digest }) => digest)), new Set(digests));
  test.ok(entries.every(({ isComplete, isUsed }) => isComplete && !isUsed));
  const people = await runDaemon(['cache', 'ls', ...inCache]);
  test.match(people.stdout, new RegExp(`${digests[0]}: [0-9.]+ [KM]iB, complete, last used `));
  test.match(people.stdout, new RegExp(`^${new Set(digests).size} blobs?, .*iB$`, 'm'));

  await front.die();
  const daemon = await DaemonProcess.start(test, [name, '--offline', ...inCache]);
  const client = await RawNbdClient.open(daemon.unix);
  test.equal(await compare(client, files.device), null, 'the registry is dead');
  client.destroy();
  await daemon.stop(test);

  const good = await runDaemon(['cache', 'verify', ...inCache]);
  test.match(good, { code: 0, stdout: /: good\n/ }, good.stderr);
  damageOne(cache);
  const bad = await runDaemon(['cache', 'verify', ...inCache]);
  test.match(bad, { code: 1, stdout: /wrong chunks?, removed\n/ }, bad.stderr);

  const [digest = ''] = digests;
  for (const each of new Set(digests)) {
    const removed = await runDaemon(['cache', 'rm', each, ...inCache]);
    test.ok(removed.code === 0 || removed.stderr.includes(each), removed.stderr);
  }
  const left = await runDaemon(['cache', 'ls', ...inCache]);
  test.notMatch(left.stdout, digest);
  const collected = await runDaemon(['cache', 'gc', ...inCache]);
  test.match(collected, { code: 0, stdout: /^0 blobs.* were freed\n$/ }, collected.stderr);
});

await t.test('warm finds wrong bytes that no other check can see', async (test) => {
  const { front, files, image, name } = await remoteImage(test);
  const options = remoteOptions([front], join(shortFolder(test), 'cache'));
  // Of the layer that is not compressed: far after its head, and before its index.
  const reference = image.layers[2]?.digest ?? '';
  const at = 300_000;
  const match = { kind: 'data', reference, covers: at } as const;
  // Also when the blob is fetched once more.
  const corrupt = front.rule({ match, action: { do: 'corrupt', at }, times: 2 });
  const failed = await runDaemon(['warm', name, ...options]);
  test.equal(corrupt.hits, 2);
  test.not(failed.code, 0);
  test.match(failed.stderr, reference);
  test.match(failed.stderr, /sent bytes with another digest/);
  const once = front.rule({ match, action: { do: 'corrupt', at }, times: 1 });
  const again = await runDaemon(['warm', name, ...options]);
  test.equal(once.hits, 1);
  test.equal(again.code, 0, again.stderr);
  await front.die();
  const daemon = await DaemonProcess.start(test, [name, ...options, '--offline']);
  const client = await RawNbdClient.open(daemon.unix);
  test.equal(await compare(client, files.device), null, 'all of it was dropped, and is right now');
  client.destroy();
  await daemon.stop(test);
});

await t.test('gc says what it has evicted', async (test) => {
  const { front, name } = await remoteImage(test, {});
  for (const json of [false, true]) {
    const cache = join(shortFolder(test), 'cache');
    const warmed = await runDaemon(['warm', name, ...remoteOptions([front], cache)]);
    test.equal(warmed.code, 0, warmed.stderr);
    const list = async (): Promise<Listed[]> => {
      const { stdout } = await runDaemon(['cache', 'ls', '--json', '--cache-dir', cache]);
      return JSON.parse(stdout) as Listed[];
    };
    const sum = (entries: readonly Listed[]): number =>
      entries.reduce((all, { bytes }) => all + bytes, 0);
    const before = await list();
    const words = ['cache', 'gc', '--cache-size', '1', '--cache-dir', cache];
    const { code, stdout, stderr } = await runDaemon(json ? [...words, '--json'] : words);
    test.equal(code, 0, stderr);
    const after = await list();
    const blobs = before.length - after.length;
    test.ok(blobs > 0);
    if (json) {
      test.same(JSON.parse(stdout), { freedBytes: sum(before) - sum(after), blobs, records: 0 });
    } else {
      const freed = humanSize(sum(before) - sum(after));
      test.match(stdout, new RegExp(`^${blobs} blobs? (was|were) removed; ${freed} were freed\n$`));
    }
  }
});

await t.test('a folder that is no cache is an error, and stays as it is', async (test) => {
  const folder = shortFolder(test);
  mkdirSync(join(folder, 'empty'));
  mkdirSync(join(folder, 'open/v1'), { recursive: true });
  chmodSync(join(folder, 'open'), 0o777);
  writeFileSync(join(folder, 'file'), '');
  const found = {
    none: /no such folder/,
    empty: /no cache in this/,
    file: /file/,
    open: /mode 777/,
  };
  for (const words of [['ls'], ['gc'], ['verify'], ['rm', `sha256:${'0'.repeat(64)}`]]) {
    for (const [name, message] of Object.entries(found)) {
      const options = ['--cache-dir', join(folder, name)];
      const { code, stdout, stderr } = await runDaemon(['cache', ...words, ...options]);
      test.match({ code, stdout, stderr }, { code: 1, stdout: '', stderr: message });
      test.match(stderr, /^.*\n$/, 'one line');
    }
    const none = await runTool('env', [...NO_HOME, ...commandLine(['cache', ...words])]);
    test.match(none, { code: 1, stdout: '', stderr: /no such folder/ });
  }
  test.same(readdirSync(folder).toSorted(), ['empty', 'file', 'open']);
  test.same(readdirSync(join(folder, 'empty')), []);
});

await t.test('what is wrong is said', async (test) => {
  const cache = ['--cache-dir', join(shortFolder(test), 'cache')];
  for (const [words, code, message] of [
    [['cache', 'rm'], 2, /name the digests of blobs/],
    [['cache', 'rm', 'sha256:x'], 1, /no such folder/],
    [['cache'], 2, /cache: <action> is missing/],
    [['cache', 'verfy'], 2, /"verfy": not one of ls, rm, gc, verify; did you mean verify\?/],
    [['warm', '--offline', 'registry.example/none:1'], null, /registry\.example\/none/],
    [['warm', `oci:${shortFolder(test)}`], null, /not an OCI layout/],
  ] as const) {
    const { code: ended, stderr } = await runDaemon([...words, ...cache]);
    test.match(stderr, message, words.join(' '));
    if (code === null) test.not(ended, 0);
    else test.equal(ended, code, stderr);
  }
});

/** Changes a byte in the middle of one complete blob. */
function damageOne(cache: string): void {
  const names = readdirSync(cache, { recursive: true, encoding: 'utf8' });
  const [name = ''] = names.filter((each) => each.endsWith('.blob'));
  const path = join(cache, name);
  const bytes = readFileSync(path);
  const middle = bytes.length >> 1;
  bytes[middle] = (bytes[middle] ?? 0) ^ 0xff;
  writeFileSync(path, bytes);
}
