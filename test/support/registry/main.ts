// The fault front as a program, for shells and benchmarks: it serves a layout until SIGTERM. With a config.v1.json
// it makes the layout first. Prints one line of JSON with its URLs; SIGUSR1 prints what it was asked for.
//
//   node out/test/support/registry/main.js --layout DIR [--image config.v1.json --tag app] [--port N]
//     [--repository test/app] [--latency MS] [--rate BYTES] [--redirect store|relative] [--referrers]
//     [--auth basic|bearer --user NAME:PASSWORD] [--anonymous] [--cert FILE --key FILE] [--rules FILE]
import { readFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { FaultFront } from './fault-front.js';
import { ImageLayout } from './image-layout.js';
import { pushImage } from './push-image.js';
import type { Rule } from './rules.js';
import type { AuthOptions } from './token-office.js';

const { values } = parseArgs({
  options: {
    layout: { type: 'string' },
    image: { type: 'string' },
    tag: { type: 'string', default: 'app' },
    repository: { type: 'string', default: 'test/app' },
    port: { type: 'string', default: '0' },
    latency: { type: 'string', default: '0' },
    rate: { type: 'string', default: 'Infinity' },
    redirect: { type: 'string' },
    referrers: { type: 'boolean', default: false },
    auth: { type: 'string' },
    user: { type: 'string' },
    anonymous: { type: 'boolean', default: false },
    cert: { type: 'string' },
    key: { type: 'string' },
    rules: { type: 'string' },
  },
});
if (values.layout === undefined) throw new Error('--layout DIR is needed');
const layout = new ImageLayout(values.layout);
if (values.image !== undefined) {
  const config = JSON.parse(readFileSync(values.image, 'utf8')) as { lowers: { file: string }[] };
  const folder = dirname(values.image);
  const blobs = config.lowers.map(({ file }) => resolve(folder, file));
  await pushImage(layout, { blobs, tag: values.tag });
}
const { cert, key, redirect } = values;
const auth = authOf(values.auth, values.user, values.anonymous);
const front = await FaultFront.start(null, {
  repositories: { [values.repository]: layout },
  port: Number(values.port),
  latencyMs: Number(values.latency),
  bytesPerSecond: Number(values.rate),
  referrers: values.referrers,
  ...((redirect === 'store' || redirect === 'relative') && { redirect }),
  ...(auth && { auth }),
  ...(cert !== undefined &&
    key !== undefined && {
      tls: { cert: readFileSync(cert, 'utf8'), key: readFileSync(key, 'utf8') },
    }),
});
if (values.rules !== undefined) {
  for (const rule of JSON.parse(readFileSync(values.rules, 'utf8')) as Rule[]) front.rule(rule);
}
const images = layout.tags().map((tag) => front.name(values.repository, tag));
console.log(JSON.stringify({ url: front.url, store: front.storeHost, images }));

process.on('SIGUSR1', () => {
  const { log } = front;
  for (const { headers: _, ...request } of log.requests) console.log(JSON.stringify(request));
  console.log(
    JSON.stringify({
      requests: log.requests.length,
      bytes: log.dataBytes(),
      duplicateBytes: log.duplicateBytes(),
      longestChain: log.longestChain().length,
      mostAtOnce: log.mostAtOnce(),
      connections: log.connections(),
      violations: log.violations(),
    }),
  );
});
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    void front.stop();
  });
}

function authOf(
  scheme: string | undefined,
  user: string | undefined,
  anonymous: boolean,
): AuthOptions | null {
  if (scheme !== 'basic' && scheme !== 'bearer') return null;
  const colon = user?.indexOf(':') ?? -1;
  const users = user === undefined ? {} : { [user.slice(0, colon)]: user.slice(colon + 1) };
  return { scheme, users, anonymous };
}
