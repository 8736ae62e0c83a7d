// The install script of the package: builds the addon with npm's own node-gyp. In a checkout it does nothing, because
// `prepare` builds everything there.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, readdirSync, rmSync } from 'node:fs';
import { delimiter, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const FOLDER = dirname(fileURLToPath(import.meta.url));
const RELEASE = join(FOLDER, 'build/Release');
const ADDON = 'overlaybd_nbd.node';

if (!existsSync(join(FOLDER, '../tsconfig.json'))) install();

function install() {
  const missing = missingTools();
  if (missing.length > 0) {
    fail(
      `cannot build the native addon: not installed: ${missing.join(', ')}`,
      'Debian, Ubuntu: apt-get install python3 make g++',
      'Fedora, RHEL:   dnf install python3 make gcc-c++',
    );
  }
  const args = ['configure', 'build', '-C', FOLDER, '--loglevel=warn', ...headers()];
  const gyp = process.env.npm_config_node_gyp;
  const [program, ...first] = gyp === undefined ? ['node-gyp'] : [process.execPath, gyp];
  const { status, error } = spawnSync(program, [...first, ...args], { stdio: 'inherit' });
  if (error) fail(`cannot run ${program}: ${error.message}`);
  if (status !== 0 || !existsSync(join(RELEASE, ADDON))) {
    fail('cannot build the native addon: the messages of node-gyp are above');
  }
  removeObjects();
}

/** What node-gyp needs: it finds a missing tool only after it has downloaded headers, and says so in 40 lines. */
function missingTools() {
  const env = process.env;
  return [
    [env.npm_config_python ?? env.PYTHON, 'python3', 'python'],
    [env.MAKE, 'make'],
    [env.CXX?.split(' ')[0], 'g++', 'c++', 'clang++'],
  ]
    .filter((names) => !names.some((name) => name && isProgram(name)))
    .map(([, name]) => name);
}

function isProgram(name) {
  const paths = name.includes('/')
    ? [name]
    : (process.env.PATH ?? '').split(delimiter).map((folder) => join(folder, name));
  return paths.some((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Most installations of Node.js have its headers beside it; then node-gyp need not download them. */
function headers() {
  if (process.env.npm_config_nodedir) return [];
  const prefix = dirname(dirname(process.execPath));
  return existsSync(join(prefix, 'include/node/node_api.h')) ? [`--nodedir=${prefix}`] : [];
}

/** The addon alone is loaded; the objects are ten times its size. */
function removeObjects() {
  for (const name of readdirSync(RELEASE)) {
    if (name !== ADDON) rmSync(join(RELEASE, name), { recursive: true, force: true });
  }
}

function fail(...lines) {
  for (const line of lines) console.error(`overlaybd-nbd: ${line}`);
  process.exit(1);
}
