// Releases of libnbd other than the system's, against the daemon: writes that are sent in spite of the read-only flag,
// of every length and in every reply form, and requests after them. $OVERLAYBD_LIBNBD names folders of
// test/interop/unpack-libnbd, with ":" between them; without it these are skipped. The system's own libnbd is always
// tested if it is installed.
import { existsSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import t, { type Test } from 'tap';
import { DaemonProcess, shortFolder } from '../support/daemon-process.js';
import { randomBytes } from '../support/pattern.js';
import { runTool } from '../support/tools.js';

const MIB = 1 << 20;
const SIZE = 33 * MIB + 777;

const folder = shortFolder(t);
writeFileSync(join(folder, 'disk.img'), randomBytes(9, SIZE));
const daemon = await DaemonProcess.start(t, [join(folder, 'disk.img')], {
  listen: ['tcp://127.0.0.1:0'],
});

const SCRIPT = `
import errno, json, nbd, sys
want = open(sys.argv[1], "rb").read()
size = len(want)
told = {"version": nbd.NBD().get_version(), "forms": []}
def fails(number, call):
    try:
        call()
    except nbd.Error as e:
        assert e.errnum == number, (e.errnum, e.string)
    else:
        raise Exception("no error")
def attempt(form, uri):
    h = nbd.NBD()
    # Also without the flag that says that a write has a payload.
    h.set_strict_mode(0)
    h.set_request_structured_replies(form != "simple")
    if hasattr(h, "set_request_extended_headers"):
        h.set_request_extended_headers(form == "extended")
    elif form == "extended":
        return
    h.connect_uri(uri)
    assert h.get_size() == size and h.is_read_only() and h.can_flush()
    if form != "simple":
        assert h.get_structured_replies_negotiated()
    if form == "extended":
        assert h.get_extended_headers_negotiated()
    for length in (1, 511, 512, 65536, 262143, 262144, 262145, 1048576, 8388608, 33554432):
        fails(errno.EPERM, lambda: h.pwrite(b"x" * length, 0))
        at = length % 1000 * 7
        assert h.pread(4099, at) == want[at:at + 4099], length
    # Writes and reads at the same time, answered in whatever order.
    done = []
    bufs = []
    for i in range(24):
        b = nbd.Buffer(100000)
        bufs.append(b)
        h.aio_pread(b, i * 1000, completion=lambda err, i=i: done.append((i, err.value)) or 1)
        w = nbd.Buffer.from_bytearray(bytearray(300000))
        bufs.append(w)
        h.aio_pwrite(w, 0, completion=lambda err, i=i: done.append((i + 100, err.value)) or 1)
    while h.aio_in_flight() > 0:
        h.poll(-1)
    reads = [(i, 0) for i in range(24)]
    writes = [(i + 100, errno.EPERM) for i in range(24)]
    assert sorted(done) == reads + writes, sorted(done)
    for i in range(24):
        assert bufs[2 * i].to_bytearray() == want[i * 1000:i * 1000 + 100000], i
    fails(errno.EPERM, lambda: h.trim(512, 0))
    fails(errno.EPERM, lambda: h.zero(512, 0))
    h.flush()
    h.cache(size, 0)
    assert h.pread(3, 511) == want[511:514] and h.pread(777, size - 777) == want[size - 777:]
    h.shutdown()
    told["forms"].append(form)
for uri in sys.argv[2:]:
    for form in ("simple", "structured", "extended"):
        attempt(form, uri)
print(json.dumps(told))
`;

interface Told {
  readonly version: string;
  readonly forms: readonly string[];
}

async function attempt(test: Test, python: string, forms: readonly string[]): Promise<void> {
  const script = join(folder, 'attempt.py');
  writeFileSync(script, SCRIPT);
  const args = [script, join(folder, 'disk.img'), daemon.unixUri(), daemon.tcpUri()];
  const { code, stdout, stderr } = await runTool(python, args, { timeout: 180_000 });
  test.equal(code, 0, stderr);
  if (code !== 0) return;
  const told = JSON.parse(stdout) as Told;
  test.comment(`libnbd ${told.version}`);
  test.same(told.forms, [...forms, ...forms], 'over both transports');
}

t.setTimeout(900_000);
const folders = (process.env['OVERLAYBD_LIBNBD'] ?? '').split(delimiter).filter(Boolean);

await t.test('other releases of libnbd', async (test) => {
  if (folders.length === 0) {
    console.error('libnbd-releases: NOT TESTED: $OVERLAYBD_LIBNBD names no folder');
    test.pass('each release', { skip: 'NOT TESTED: $OVERLAYBD_LIBNBD names no folder' });
  }
  for (const each of folders) {
    const python = join(each, 'python3');
    if (!existsSync(python)) test.fail(`${python} is not there`);
    else await attempt(test, python, ['simple', 'structured', 'extended']);
  }
});

await t.test("the system's libnbd", async (test) => {
  const python = '/usr/bin/python3';
  const has = await runTool(python, ['-c', 'import nbd; nbd.NBD().set_request_structured_replies']);
  if (has.code !== 0) {
    test.pass('its clients', { skip: 'NOT TESTED, not installed: python3-libnbd' });
    return;
  }
  const extended = await runTool(python, [
    '-c',
    'import nbd; nbd.NBD().get_extended_headers_negotiated',
  ]);
  const forms = ['simple', 'structured', ...(extended.code === 0 ? ['extended'] : [])];
  await attempt(test, python, forms);
});

await t.test('the daemon goes on', async (test) => {
  test.same(daemon.lines(/ (warn|error): .*(connection|read of)/), []);
  await daemon.stop(test);
});
