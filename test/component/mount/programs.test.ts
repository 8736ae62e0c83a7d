// Other programs: how they are found, how much of their output is kept, and how they end.
import { chmodSync, closeSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'tap';
import { programs } from '../../../daemon/mount/programs.js';

const SHELL = '/bin/sh';
const shell = (script: string) => programs.run(SHELL, ['-c', script]);

await test("the first executable from $PATH and the system's folders", async (t) => {
  const folder = t.testdir({ tool: '#!/bin/sh\n', plain: '' });
  chmodSync(join(folder, 'tool'), 0o755);
  chmodSync(join(folder, 'plain'), 0o644);
  const before = process.env['PATH'];
  t.teardown(() => (process.env['PATH'] = before));
  process.env['PATH'] = `:${folder}`;
  t.equal(await programs.find('plain', 'tool'), join(folder, 'tool'));
  t.equal(await programs.find('tool', 'sh'), join(folder, 'tool'));
  t.equal(await programs.find('plain', 'nothing-like-it'), null);
  delete process.env['PATH'];
  t.match(await programs.find('sh'), /^\/(usr\/)?bin\/sh$/);
});

await test('exit code, both outputs, and working directory', async (t) => {
  t.same(await shell('echo "  out"; exit 3'), { code: 3, output: 'out' });
  t.same(await shell('echo err >&2'), { code: 0, output: 'err' });
  t.same(await shell('pwd; echo $LC_ALL'), { code: 0, output: '/\nC' });
});

await test('a program that a signal ends, and one that does not exist', async (t) => {
  t.same(await shell('kill -KILL $$'), { code: -1, output: 'SIGKILL' });
  t.match(await programs.run('/no/such/program', []), { code: -1, output: /ENOENT/ });
});

await test('only the beginning of long output is kept', async (t) => {
  const { code, output } = await shell('head -c 10000000 /dev/zero | tr "\\0" x');
  t.equal(code, 0);
  t.ok(output.length >= 4096 && output.length < 4096 + (1 << 17), `${output.length}`);
});

await test('a child that keeps the pipes open is not waited for', async (t) => {
  const { code, output } = await shell('sleep 600 & echo $!');
  t.equal(code, 0);
  const pid = Number(output);
  t.ok(process.kill(pid, 'SIGKILL'), 'the child was still running');
});

await test('a program in its own session: its output, and how it ended', async (t) => {
  const log = join(t.testdir(), 'log');
  writeFileSync(log, '');
  const fd = openSync(log, 'a');
  const ended = programs.start(SHELL, ['-c', 'cut -d" " -f1,6 /proc/$$/stat; exit 4'], fd);
  closeSync(fd);
  t.equal(await ended.ended, 'exit code 4');
  t.equal(readFileSync(log, 'utf8').trim(), `${ended.pid} ${ended.pid}`, 'it has its own session');
  const killed = programs.start(SHELL, ['-c', 'exec sleep 600'], openSync(log, 'a'));
  killed.kill('SIGTERM');
  t.equal(await killed.ended, 'SIGTERM');
  const missing = programs.start('/no/such/program', [], openSync(log, 'a'));
  t.match(await missing.ended, /ENOENT/);
  t.equal(missing.pid, undefined);
});
