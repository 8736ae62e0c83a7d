// The control socket of a daemon: answers from the first request on, and is left or removed without one.
import { existsSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { test, type Test } from 'tap';
import type { ControlHandlers } from '../../../daemon/control/routes.js';
import type { StateFolder } from '../../../daemon/devices/state-folder.js';
import { OverlaybdError } from '../../../daemon/errors.js';
import { ControlPoint } from '../../../daemon/server/control-point.js';
import { shortFolder } from '../../support/daemon-process.js';

const HANDLERS = { exports: async () => ({ exports: [] }) } as unknown as ControlHandlers;

/** A control point on a socket in a short folder, and what it did with its state folder. */
function made(t: Test): { point: ControlPoint; path: string; closed: () => boolean } {
  // The path of a socket has at most 107 bytes.
  const path = join(shortFolder(t), 's');
  let isClosed = false;
  const state = { path: '', lockFd: -1, controlSocket: path, close: () => void (isClosed = true) };
  return {
    point: new ControlPoint(state as unknown as StateFolder, null),
    path,
    closed: () => isClosed,
  };
}

/** @returns the status code, or the code of the error */
function ask(socketPath: string): Promise<number | string> {
  return new Promise((resolve) => {
    const request = httpRequest({ socketPath, path: '/v1/exports', agent: false }, (response) => {
      response.resume();
      response.on('end', () => resolve(response.statusCode ?? 0));
    });
    request.on('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
    request.end();
  });
}

await test('requests are answered, also those that came before it served', async (t) => {
  const { point, path, closed } = made(t);
  const early = ask(path);
  point.serve(HANDLERS);
  t.same(await Promise.all([early, ask(path), ask(path)]), [200, 200, 200]);
  t.equal(await ask(path), 200, 'and later ones');
  point.close();
  t.notOk(existsSync(path));
  t.ok(closed());
});

await test('other handlers answer from then on, whether a request has come or not', async (t) => {
  const { point, path } = made(t);
  const refusing = {
    exports: async () => Promise.reject(new OverlaybdError('BUSY', 'not yet')),
  } as unknown as ControlHandlers;
  point.serve(HANDLERS);
  point.serve(refusing);
  t.equal(await ask(path), 409);
  point.serve(HANDLERS);
  t.equal(await ask(path), 200);
  point.close();
});

await test('it ends without a request, and leaves the socket to a successor', async (t) => {
  const { point, path } = made(t);
  point.serve(HANDLERS);
  point.leave();
  t.ok(existsSync(path));
  t.equal(await ask(path), 'ECONNREFUSED', 'nothing listens any more');
});

await test('it ends before it served', async (t) => {
  const { point, path } = made(t);
  point.close();
  t.notOk(existsSync(path));
  t.equal(await ask(path), 'ENOENT');
});

await test('it ends while the first request loads the server', async (t) => {
  const { point, path } = made(t);
  point.serve(HANDLERS);
  const asked = ask(path);
  // The next turn of the loop sees the request; the server is there some turns later.
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => setImmediate(resolve));
  point.leave();
  t.ok([200, 'ECONNRESET'].includes(await asked), 'the client does not wait for ever');
});
