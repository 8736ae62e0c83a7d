// Parts of packages that the bundle replaces by something smaller. A start loads them, and uses little of them or
// nothing. The names are replaced in all packages: before a new package comes into the bundle, see which of these it
// uses.

import type { Plugin } from 'esbuild';

/** Modules of CommonJS, by the names that packages import. */
const REPLACEMENTS: Readonly<Record<string, string>> = {
  // yargs measures help text with it, which is ASCII here. The two copies that yargs depends on spend 40 ms of every
  // start on Unicode tables.
  'string-width': 'module.exports = (text) => text.length;',
  // With this yargs looks for the package.json of the program, to guess the version, which the program gives it anyway.
  // If it finds none, it makes an AssertionError of several lines with the source around it, and drops it.
  'escalade/sync': 'module.exports = () => "/dev/null";',
  // yargs checks itself with two of its functions.
  assert: `
    const check = (holds) => { if (!holds) throw new Error('yargs: an assertion does not hold'); };
    exports.notStrictEqual = (actual, expected) => check(!Object.is(actual, expected));
    exports.strictEqual = (actual, expected) => check(Object.is(actual, expected));`,
  // winston has a copy of the streams that every supported Node.js has.
  'readable-stream': 'module.exports = require("node:stream");',
  'readable-stream/lib/_stream_writable.js': 'module.exports = require("node:stream").Writable;',
  // winston would color levels with it.
  '@colors/colors/safe': 'module.exports = {};',
  // With this winston writes about itself, in colors, if DEBUG is set.
  '@dabh/diagnostics': 'module.exports = () => () => false;',
};

const NAMESPACE = 'replaced';

export const replacedPackages: Plugin = {
  name: 'replaced packages',
  setup(build) {
    build.onResolve({ filter: /./ }, ({ path }) => {
      return Object.hasOwn(REPLACEMENTS, path) ? { path, namespace: NAMESPACE } : undefined;
    });
    build.onLoad({ filter: /./, namespace: NAMESPACE }, ({ path }) => {
      return { contents: REPLACEMENTS[path] ?? '', loader: 'js' };
    });
  },
};
