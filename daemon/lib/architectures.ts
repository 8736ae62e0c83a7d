// Names of processor architectures, as images have them. Pure.

/** Such a name, in any case: it is not that of a system. */
export const ARCHITECTURE =
  /^(?:386|amd64|arm|arm64|loong64|mips|mips64|mips64le|mipsle|ppc64|ppc64le|riscv64|s390x|x86_64|x86-64|i386|aarch64|armhf|armel)$/i;

const LEVELS = [
  'cx16 lahf_lm popcnt pni sse4_1 sse4_2 ssse3',
  'abm avx avx2 bmi1 bmi2 f16c fma movbe xsave',
  'avx512bw avx512cd avx512dq avx512f avx512vl',
].map((flags) => flags.split(' '));

/**
 * The x86-64 level of a processor: 1 to 4, for the variants v1 to v4 of amd64.
 * @param cpuinfo the beginning of /proc/cpuinfo
 */
export function amd64Level(cpuinfo: string): number {
  const [, line = ''] = /^flags\s*:(.*)$/m.exec(cpuinfo) ?? [];
  const flags = new Set(line.split(' '));
  const missing = LEVELS.findIndex((level) => !level.every((flag) => flags.has(flag)));
  return 1 + (missing < 0 ? LEVELS.length : missing);
}
