// The tarball of `npm pack`, installed by `npm install -g` without anything of a developer: an empty HOME, no
// development packages, the checkout hidden. Needs an npm registry, python3, make and g++.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { shortFolder } from '../support/daemon-process.js';
import { writeSparseStack } from '../support/e2e-images.js';
import { findTool, requireTool, runTool, type ToolResult } from '../support/tools.js';

const CHECKOUT = fileURLToPath(new URL('../../..', import.meta.url));
const VERSION = (
  JSON.parse(readFileSync(join(CHECKOUT, 'package.json'), 'utf8')) as { version: string }
).version;
const SERVE_TEST = fileURLToPath(new URL('../e2e/serve.test.js', import.meta.url));
/** Half a minute on an idle machine. */
const COMPILE_MS = 900_000;

/** $1: the checkout, which becomes empty; the other words are run. */
const HIDDEN = 'mount -t tmpfs none "$1" && cd / && shift && exec "$@"';
const canHide = spawnSync('unshare', ['--mount', 'true']).status === 0;

const folder = shortFolder(t);
const home = join(folder, 'home');
mkdirSync(home);
/** npm of this machine with its administrator's configuration, and nothing else of the environment. */
const clean = [
  '-i',
  `HOME=${home}`,
  `npm_config_cache=${npmConfig('cache')}`,
  `npm_config_userconfig=${npmConfig('userconfig')}`,
  `npm_config_globalconfig=${npmConfig('globalconfig')}`,
  ...Object.entries(process.env)
    .filter(([name]) => /^(https?_proxy|no_proxy|node_extra_ca_certs)$/i.test(name))
    .map(([name, value]) => `${name}=${value ?? ''}`),
  'npm_config_prefer_offline=true',
];
const tarball = pack();
t.setTimeout(2 * COMPILE_MS);

await t.test('the tarball has the program, and no more than it needs', (test) => {
  const { stdout } = spawnSync('tar', ['-tzf', tarball], { encoding: 'utf8' });
  const files = stdout.split('\n').map((name) => name.replace(/^package\//, ''));
  for (const name of [
    'out/bundle/main.js',
    'out/bundle/main.rest.bundle',
    'out/bundle/reactor/worker.bundle',
    'native/install.js',
    'native/src/addon.cc',
    'README.md',
    'CHANGELOG.md',
    'LICENSE',
    'systemd/overlaybd-nbd.service',
  ]) {
    test.ok(files.includes(name), name);
  }
  test.same(
    files.filter((name) => /^(test|daemon|out\/(daemon|test)|native\/build)\//.test(name)),
    [],
  );
  test.end();
});

await t.test('without a compiler, npm install tells what to install', async (test) => {
  const bin = join(folder, 'bin');
  mkdirSync(bin);
  for (const name of ['node', 'npm', 'sh', 'tar', 'gzip']) {
    symlinkSync(name === 'node' ? process.execPath : (findTool(name) ?? ''), join(bin, name));
  }
  const { code, stderr } = await install(join(folder, 'none'), bin);
  test.not(code, 0);
  test.match(stderr, 'cannot build the native addon: not installed: python3, make, g++');
  test.match(stderr, 'apt-get install python3 make g++');
});

await t.test('the installed program works', async (test) => {
  if (!requireTool(test, 'make', 'g++', 'python3')) return;
  const prefix = join(folder, 'prefix');
  const path = `${dirname(process.execPath)}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin`;
  const installed = await install(prefix, path);
  test.equal(installed.code, 0, 'npm install -g succeeds');
  if (installed.code !== 0) console.error(installed.stderr);
  const program = join(prefix, 'bin/overlaybd-nbd');
  const root = join(prefix, 'lib/node_modules/overlaybd-nbd');
  test.same(
    readdirSync(join(root, 'node_modules')).filter((name) => !name.startsWith('.')),
    ['@antoniomuso', 'lz4-napi', 'node-addon-api'],
    'no development package, and no other addon to compile',
  );
  test.same(readdirSync(join(root, 'native/build/Release')), ['overlaybd_nbd.node']);
  const version = await runTool(program, ['--version']);
  test.match(version.stdout, `overlaybd-nbd ${VERSION} (lz4: `, version.stderr);

  const stack = writeSparseStack(folder);
  const verified = await runTool(program, ['verify', ...stack.layers]);
  test.equal(verified.code, 0, verified.stdout + verified.stderr);
  const env = { ...process.env, OVERLAYBD_TEST_PROGRAM: program };
  const served = spawnSync(process.execPath, [SERVE_TEST], { env, encoding: 'utf8' });
  test.equal(served.status, 0, 'e2e/serve.test.js passes with it');
  if (served.status !== 0) console.error(served.stdout);
  if (requireTool(test, 'nbdinfo')) {
    const layers = ['serve', '-s', ...stack.layers];
    const size = await runTool('nbdinfo', ['--size', '--', '[', program, ...layers, ']']);
    test.equal(size.stdout.trim(), `${stack.virtualSize}`, `nbdinfo: ${size.stderr}`);
  }

  const portable = { ...env, OVERLAYBD_NBD_PORTABLE_CODECS: '1' };
  const run = (layer: string | undefined): string =>
    spawnSync(program, ['verify', layer ?? ''], { env: portable, encoding: 'utf8' }).stdout;
  test.match(run(stack.layers[0]), / good: /, "LZ4 works without the system's library");
  test.match(
    run(stack.layers[2]),
    /neither libzstd \(Debian: libzstd1\) nor the npm package zstd-napi can be loaded/,
    "zstd without the system's library: the error tells what to install",
  );
});

function pack(): string {
  const args = ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder];
  const { stdout, stderr } = spawnSync('npm', args, { cwd: CHECKOUT, encoding: 'utf8' });
  const file = join(folder, stdout.trim());
  if (stdout.trim() === '' || !existsSync(file)) throw new Error(`npm pack: ${stderr}`);
  return file;
}

async function install(prefix: string, path: string): Promise<ToolResult> {
  const npm = ['npm', 'install', '-g', '--prefix', prefix, tarball];
  const command = ['env', ...clean, `PATH=${path}`, ...npm];
  const hidden = ['unshare', '--mount', 'sh', '-c', HIDDEN, 'sh', CHECKOUT, ...command];
  const [program = '', ...args] = canHide ? hidden : command;
  const result = await runTool(program, args, { timeout: COMPILE_MS, cwd: folder });
  if (result.code !== 0) rmSync(prefix, { recursive: true, force: true });
  return result;
}

function npmConfig(key: string): string {
  return spawnSync('npm', ['config', 'get', key], { encoding: 'utf8' }).stdout.trim();
}
