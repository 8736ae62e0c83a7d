// Compressed forms of the raw image that only the peers can serve, made with their own tools.
import { spawnSync } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';

/** Like qcow2's clusters: xz is best for random reads with small blocks. */
const XZ_BLOCK = 65536;

/**
 * A compressed qcow2 image. zstd, because qemu decodes it faster than deflate, its default.
 * @throws Error with what qemu-img said
 */
export function makeQcow2(raw: string, path: string): void {
  const options = ['-c', '-O', 'qcow2', '-o', 'compression_type=zstd'];
  run('qemu-img', ['convert', ...options, raw, path]);
}

/** @throws Error with what xz said */
export function makeXz(raw: string, path: string): void {
  const out = openSync(path, 'w');
  try {
    run('xz', ['--stdout', '--keep', '--threads=0', '-6', `--block-size=${XZ_BLOCK}`, raw], out);
  } finally {
    closeSync(out);
  }
}

function run(program: string, args: readonly string[], stdout: number | 'ignore' = 'ignore'): void {
  const { status, error, stderr } = spawnSync(program, args, {
    encoding: 'utf8',
    stdio: ['ignore', stdout, 'pipe'],
  });
  if (status === 0) return;
  throw new Error(`${program}: exit ${status}: ${error?.message ?? stderr.trim()}`);
}
