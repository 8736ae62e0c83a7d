// A small image behind a fault front, and a client that undoes none of its faults.
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';
import { Agent, request as send, type Dispatcher } from 'undici';
import { FaultFront, type FrontOptions } from '../../../support/registry/fault-front.js';
import { ImageLayout } from '../../../support/registry/image-layout.js';
import { writeLayerFiles } from '../../../support/registry/layer-files.js';
import { pushImage } from '../../../support/registry/push-image.js';

const folder = mkdtempSync(join(tmpdir(), 'obd-'));
// Test files that share a process share the image.
process.once('exit', () => {
  rmSync(folder, { recursive: true });
});
const files = writeLayerFiles(folder);
export const layout = new ImageLayout(join(folder, 'layout'));
export const image = await pushImage(layout, {
  blobs: files.blobs,
  tag: 'app',
  writer: 'convertor-oci',
  plainTag: 'plain',
});
/** Its bottom layer. */
export const DIGEST = image.layers[0]?.digest ?? '';
export const BLOB = readFileSync(files.blobs[0] ?? '');
export const REPOSITORY = 'test/app';

export interface Answer {
  /** 0: there was none. */
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
  /** The code, or else the name, of the error that ended the body, or that came instead of an answer. */
  readonly problem: string | null;
}

export interface FrontClient {
  readonly front: FaultFront;
  /** @param path of the registry, or a URL */
  readonly get: (path: string, headers?: Record<string, string>) => Promise<Answer>;
  /** Bytes of the bottom layer, both inclusive. */
  readonly range: (first: number, last: number) => Promise<Answer>;
}

export async function startFront(
  t: Test,
  options: Partial<FrontOptions> = {},
): Promise<FrontClient> {
  const front = await FaultFront.start(t, { repositories: { [REPOSITORY]: layout }, ...options });
  const agent = new Agent({
    headersTimeout: 0,
    bodyTimeout: 0,
    connections: 1,
    connect: { rejectUnauthorized: false },
  });
  t.teardown(() => agent.destroy());
  const get = async (path: string, headers: Record<string, string> = {}): Promise<Answer> => {
    const url = path.startsWith('http') ? path : `${front.url}${path}`;
    const parts: Buffer[] = [];
    let status = 0;
    let got: Record<string, string> = {};
    let problem: string | null = null;
    try {
      const answer = await send(url, {
        headers: { 'accept-encoding': 'identity', 'user-agent': 'test', ...headers },
        dispatcher: agent,
      });
      status = answer.statusCode;
      got = asText(answer.headers);
      for await (const part of answer.body) parts.push(part as Buffer);
    } catch (error) {
      const { code, name } = error as NodeJS.ErrnoException;
      problem = code ?? name;
    }
    return { status, headers: got, body: Buffer.concat(parts), problem };
  };
  const range = (first: number, last: number): Promise<Answer> =>
    get(`/v2/${REPOSITORY}/blobs/${DIGEST}`, { range: `bytes=${first}-${last}` });
  return { front, get, range };
}

/** Several headers of one name are lines. */
function asText(headers: Dispatcher.ResponseData['headers']): Record<string, string> {
  const entries = Object.entries(headers).map(([name, value = '']): [string, string] => [
    name,
    Array.isArray(value) ? value.join('\n') : value,
  ]);
  return Object.fromEntries(entries);
}
