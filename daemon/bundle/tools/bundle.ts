// Makes one bundle of modules, with what all bundles have in common.

import { existsSync } from 'node:fs';
import { resolve } from 'node:path';
import { build, type BuildOptions } from 'esbuild';
import { replacedPackages } from './replaced-packages.js';

export interface Bundled {
  readonly text: string;
  /** The paths of the files in it. */
  readonly files: ReadonlySet<string>;
}

const COMMON: BuildOptions = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  format: 'cjs',
  charset: 'ascii',
  write: false,
  metafile: true,
  logLevel: 'warning',
};

export async function bundle(options: BuildOptions): Promise<Bundled> {
  const { outputFiles = [], metafile } = await build({ ...COMMON, ...options });
  if (outputFiles.length !== 1) throw new Error(`esbuild made ${outputFiles.length} files, not 1`);
  const files = new Set<string>();
  for (const { inputs } of Object.values(metafile?.outputs ?? {})) {
    // Others are made up by plugins.
    for (const file of Object.keys(inputs)) if (existsSync(file)) files.add(resolve(file));
  }
  return { text: outputFiles[0]?.text ?? '', files };
}

/** A bundle of a program of ours. */
export function bundleProgram({ plugins = [], ...options }: BuildOptions): Promise<Bundled> {
  return bundle({
    // These addons are files of their own, and are loaded only where the system lacks the libraries.
    external: ['lz4-napi', 'zstd-napi'],
    // The environment must not choose the native code of an installed program.
    define: { 'import.meta.url': 'moduleUrl', 'process.env.OVERLAYBD_NBD_ADDON': 'undefined' },
    plugins: [...plugins, replacedPackages],
    ...options,
  });
}
