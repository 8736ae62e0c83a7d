// What an operator sees of images in registries: fields of the log, lines of status, probes, progress on a terminal.
import { writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { join } from 'node:path';
import t from 'tap';
import { socketOf, waitForControl } from '../support/control.js';
import { DaemonProcess, commandLine, runDaemon, shortFolder } from '../support/daemon-process.js';
import { writeRaw } from '../support/e2e-images.js';
import { RawNbdClient } from '../support/nbd-client.js';
import {
  PATIENCE,
  readOrError,
  remoteImage,
  remoteOptions,
} from '../support/registry/remote-image.js';
import { requireTool, runTool } from '../support/tools.js';

t.setTimeout(600_000);
const MIB = 1 << 20;

type Line = Readonly<Record<string, unknown>>;

function jsonLines(log: string): Line[] {
  return log
    .split('\n')
    .filter((line) => line.startsWith('{'))
    .map((line) => JSON.parse(line) as Line);
}

await t.test(
  'a failed read: image, layer and request are fields of one line, and in the status',
  async (test) => {
    const { front, image, name } = await remoteImage(test, { files: { size: 8 * MIB } });
    const folder = shortFolder(test);
    const state = join(folder, 'state');
    const options = remoteOptions([front], join(folder, 'cache'), 2);
    const args = ['-e', `app=${name}`, '--log-format', 'json', '--state', state, ...options];
    const daemon = await DaemonProcess.start(test, args);
    await waitForControl(socketOf(state));
    const client = await RawNbdClient.open(daemon.unix, 'app');
    front.rule({ match: { kind: 'data' }, action: { do: 'status', status: 503 } });
    const error = await readOrError(client, 3 * MIB, 4096);
    test.equal(error, 5, 'EIO');
    await daemon.waitForLines(/"code":"REMOTE"/);
    const lines = jsonLines(daemon.log);
    const failed = lines.filter(({ code }) => code === 'REMOTE');
    test.equal(failed.length, 1, 'one line');
    const { digest, ...fields } = failed[0] ?? {};
    test.match(fields, {
      level: 'error',
      export: 'app',
      offset: 3 * MIB,
      length: 4096,
      host: front.host,
      status: 503,
      attempts: Number,
      range: /^\d+-\d+$/,
      seconds: Number,
      image: name,
    });
    const layers: unknown[] = image.layers.map((layer) => layer.digest);
    test.ok(layers.includes(digest), 'of one of its layers');
    const opened = lines.find(({ export: of, level }) => of === 'app' && level === 'info');
    test.match(opened, { image: name, size: 8 * MIB });

    const { stdout } = await runDaemon(['status', '--state', state]);
    const line = stdout.split('\n').find((each) => each.startsWith('export "app": ')) ?? '';
    test.match(line, /; \d+ % of .* cached, \d+ % of reads from the cache/, 'fill and hit ratio');
    test.match(line, /last error: .*503/);
    client.destroy();
    await daemon.stop(test);
  },
);

async function probe(socketPath: string, path: string): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    get({ socketPath, path, agent: false }, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (part: string) => (body += part));
      response.on('end', () => resolve([response.statusCode ?? 0, body]));
    }).on('error', reject);
  });
}

await t.test(
  '/healthz says that the daemon lives, /readyz that all exports are served',
  async (test) => {
    const folder = shortFolder(test);
    const [state, metrics, late] = ['state', 'm.sock', 'late.img'].map((each) =>
      join(folder, each),
    ) as [string, string, string];
    const good = join(folder, 'good.img');
    writeRaw(good, 1, 4096);
    const exports = ['-e', `good=${good}`, '-e', `late=${late}`];
    const args = [...exports, '--state', state, '--metrics-listen', `unix://${metrics}`];
    const daemon = await DaemonProcess.start(test, args);
    await daemon.waitForLines(/metrics: /);
    test.same(await probe(metrics, '/healthz'), [200, 'ok\n']);
    const [code, body] = await probe(metrics, '/readyz');
    test.equal(code, 503);
    test.match(JSON.parse(body), { ready: false, waiting: [{ export: 'late', state: 'failed' }] });
    writeFileSync(late, Buffer.alloc(4096, 1));
    await daemon.waitForLines(/export "late": .*4096 bytes/);
    test.equal((await probe(metrics, '/readyz'))[0], 200);
    await daemon.stop(test);
  },
);

await t.test(
  'warm and verify draw a bar on a terminal, and nothing anywhere else',
  async (test) => {
    if (!requireTool(test, 'script')) return;
    const { front, name } = await remoteImage(test, { files: { size: 8 * MIB } });
    const options = remoteOptions([front], join(shortFolder(test), 'cache'));
    const bar = /\r[^[]\[K\[[#-]{20}\] +\d+ % .* of .*iB/;
    for (const command of ['warm', 'verify']) {
      const words = commandLine([command, name, ...options]);
      const line = words.map((word) => `'${word}'`).join(' ');
      const shown = await runTool('script', ['-qec', line, '/dev/null'], { timeout: 2 * PATIENCE });
      test.equal(shown.code, 0, shown.stdout);
      test.match(shown.stdout, bar, command);
      const piped = await runDaemon([command, name, ...options]);
      test.match(piped, { code: 0, stderr: '' });
      test.notMatch(piped.stdout, bar, command);
    }
  },
);
