// `mount --fuse`: the order of the steps, and that a failed step leaves nothing.
import { mkdirSync, readdirSync } from 'node:fs';
import { test, type Test } from 'tap';
import { mountFuse } from '../../../daemon/mount/mount-fuse.js';
import { umount, umountOwn } from '../../../daemon/mount/umount.js';
import { shortFolder } from '../../support/daemon-process.js';
import { deviceOf, FakeMachine } from './fake-tools.js';

const never = new AbortController().signal;

/** The temporary folders are made in one that the test owns. */
function machineIn(t: Test): { machine: FakeMachine; folder: string } {
  const folder = shortFolder(t);
  return { machine: new FakeMachine(), folder };
}

interface Case {
  signal?: AbortSignal;
  type?: 'ext4' | 'xfs' | 'zeros';
  isRoot?: boolean;
}

type Machine = Pick<FakeMachine, 'programs' | 'mounts'>;

/** The machine, but for what some of its programs answer; null: as it does. */
function answering(
  { programs, mounts }: Machine,
  answer: (path: string, args: readonly string[]) => { code: number; output: string } | null,
): Machine {
  const run: typeof programs.run = async (path, args, ...rest) =>
    answer(path, args) ?? programs.run(path, args, ...rest);
  return { programs: { ...programs, run }, mounts };
}

function mount(
  { programs, mounts }: Machine,
  folder: string,
  { signal = never, type = 'ext4', isRoot = false }: Case = {},
): Promise<string> {
  const image = { name: 'a.obd', server: ['nbd://h'], dir: '/mnt', options: ['nodev'] };
  const read = () => deviceOf(type);
  return mountFuse(image, { programs, mounts, read, signal, isRoot, runtime: folder });
}

await test('nbdfuse, then the file system; umount ends both', async (t) => {
  for (const lazy of [false, true]) {
    const { machine, folder } = machineIn(t);
    await mount(machine, folder);
    const [name = ''] = readdirSync(folder);
    const own = `${folder}/${name}`;
    t.match(name, /^overlaybd-nbd-fuse-/);
    t.same(machine.calls, [
      `nbdfuse -r -o fsname=overlaybd-nbd,subtype=nbdfuse -P ${own}/pid ${own}/disk/nbd nbd://h`,
      `fuse2fs -o ro,norecovery,fakeroot,errors=continue,fsname=${own}/disk/nbd,nodev ${own}/disk/nbd /mnt`,
      `fusermount3 -u -z ${own}/disk`,
    ]);
    machine.calls.length = 0;
    const uid = process.geteuid?.() ?? 0;
    await t.rejects(umount('/mnt', lazy, machine.tools({ uid: uid + 1 })), {
      message: /belongs to user \d+; run umount as that user/,
    });
    await umount('/mnt', lazy, machine.tools({ uid }));
    const options = lazy ? '-u -z' : '-u';
    t.same(machine.calls, [`fusermount3 ${options} /mnt`]);
    t.same([machine.table, machine.running, readdirSync(folder)], [[], 0, []]);
  }
});

await test('a mount of this process that another program has ended: nbdfuse ends, too', async (t) => {
  const { machine, folder } = machineIn(t);
  const file = await mount(machine, folder);
  machine.calls.length = 0;
  await umountOwn('/mnt', file, false, machine.tools());
  t.same(machine.calls, ['fusermount3 -u /mnt']);
  const again = await mount(machine, folder);
  t.equal(machine.running, 1);
  machine.unmounted('/mnt');
  t.equal(machine.running, 0);
  await t.rejects(umountOwn('/mnt', again, false, machine.tools()), {
    code: 'MOUNT',
    message: '/mnt: another program has unmounted it while its files were read',
  });
  t.same([machine.table, machine.running, readdirSync(folder)], [[], 0, []]);
});

await test('a folder path that would break the option it is in', async (t) => {
  for (const name of ['a,b', 'a\\b']) {
    const { machine, folder } = machineIn(t);
    const odd = `${folder}/${name}`;
    mkdirSync(odd);
    await t.rejects(mount(machine, odd), { code: 'MOUNT', message: /set XDG_RUNTIME_DIR/ });
    t.same([machine.calls, readdirSync(odd)], [[], []]);
  }
});

await test('root needs no fakeroot', async (t) => {
  const { machine, folder } = machineIn(t);
  await mount(machine, folder, { isRoot: true });
  t.match(machine.calls[1], /^fuse2fs -o ro,norecovery,errors=continue,fsname=/);
});

await test('a fuse2fs without errors=continue runs without that option', async (t) => {
  const { machine, folder } = machineIn(t);
  const old = answering(machine, (_, args) =>
    args.some((each) => each.includes('errors='))
      ? { code: 1, output: "fuse: unknown option `errors=continue'" }
      : null,
  );
  await mount(old, folder, { isRoot: true });
  t.match(machine.calls.at(-2), /^fuse2fs -o ro,norecovery,fsname=/);
});

await test('a program that fails or is missing leaves nothing', async (t) => {
  const cases: [string, 'fails' | 'is missing', RegExp][] = [
    ['nbdfuse', 'fails', /^nbdfuse: exit code 1/],
    ['nbdfuse', 'is missing', /apt install libnbd-bin fuse3$/],
    ['fusermount3', 'is missing', /./],
    ['fuse2fs', 'is missing', /^fuse2fs: not found; apt install fuse2fs$/],
    [
      'fuse2fs',
      'fails',
      /^\/bin\/fuse2fs: a\.obd \(ext4\) cannot be mounted at \/mnt: unknown option; .*-o$/,
    ],
  ];
  for (const [name, how, message] of cases) {
    const { machine, folder } = machineIn(t);
    if (how === 'fails') machine.failing.set(name, 'unknown option');
    else machine.missing.add(name).add('fusermount');
    const code = how === 'is missing' ? 'PROGRAM_MISSING' : 'MOUNT';
    await t.rejects(mount(machine, folder), { code, message }, `${name} ${how}`);
    t.same([machine.table, machine.running, readdirSync(folder)], [[], 0, []]);
  }
  for (const [type, message] of [
    ['xfs', /^a\.obd: it holds xfs, for which .*, as root \(overlaybd-nbd mount IMAGE DIR\)/],
    ['zeros', /^a\.obd: cannot be mounted: .*zeros/],
  ] as const) {
    const { machine, folder } = machineIn(t);
    await t.rejects(mount(machine, folder, { type }), { code: 'UNSUPPORTED', message });
    t.same([machine.table, machine.running, readdirSync(folder)], [[], 0, []]);
  }
});

await test('a program that succeeds without mounting anything is an error', async (t) => {
  const { machine, folder } = machineIn(t);
  machine.mounted('/mnt', 'tmpfs', 'another owner');
  const idle = answering(machine, (path) =>
    path.endsWith('fuse2fs') ? { code: 0, output: 'fine' } : null,
  );
  await t.rejects(mount(idle, folder), {
    code: 'MOUNT',
    message: /fine/,
  });
  t.same(
    machine.table.map(({ type }) => type),
    ['tmpfs'],
    'mounts of others stay',
  );
  t.same([machine.running, readdirSync(folder)], [0, []]);
});

await test('an interrupt is undone', async (t) => {
  for (const step of ['fuse2fs', 'nbdfuse']) {
    const { machine, folder } = machineIn(t);
    const abort = new AbortController();
    machine.before = (name) => {
      if (name === step) abort.abort();
    };
    if (step === 'nbdfuse') abort.abort();
    await t.rejects(mount(machine, folder, { signal: abort.signal }), { message: /interrupted/ });
    t.same([machine.table, machine.running, readdirSync(folder)], [[], 0, []], step);
  }
});

await test('the error tells what could not be undone', async (t) => {
  const { machine, folder } = machineIn(t);
  machine.failing.set('fuse2fs', 'no').set('fusermount3', 'Permission denied');
  await t.rejects(mount(machine, folder), {
    message:
      /nbdfuse is still running \(process 999999999\); end it with: fusermount3 -u \/.*\/disk \(.*Permission denied\)/,
  });
});

await test('a disk that is closed a little late is unmounted after retries', async (t) => {
  const { machine, folder } = machineIn(t);
  machine.failing.set('fuse2fs', 'no');
  let tries = 0;
  machine.before = (name) => {
    if (name !== 'fusermount3') return;
    if (++tries === 3) machine.failing.delete(name);
    else machine.failing.set(name, 'Device or resource busy');
  };
  await t.rejects(mount(machine, folder), { message: /: no$/ });
  t.equal(tries, 3);
  t.same([machine.table, machine.running, readdirSync(folder)], [[], 0, []]);
});

await test('nbdfuse that could not be told to end with the file system: nothing stays mounted', async (t) => {
  const { machine, folder } = machineIn(t);
  const denying = answering(machine, (_, args) =>
    args.includes('-z') ? { code: 1, output: 'Permission denied' } : null,
  );
  await t.rejects(mount(denying, folder, { isRoot: true }), {
    code: 'MOUNT',
    message: /disk: cannot be unmounted: Permission denied$/,
  });
  t.same([machine.table, machine.running, readdirSync(folder)], [[], 0, []]);
});
