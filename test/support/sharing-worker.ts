// A thread that puts members into shared memory and reads them, at random, and counts wrong bytes.
import { parentPort, workerData } from 'node:worker_threads';
import {
  SharedMembers,
  type SharedMembersData,
  type SharedPlaces,
} from '../../daemon/pieces/shared-members.js';
import { seededRandom } from './pattern.js';
import { memberBytes } from './shared-member-bytes.js';

const { data, places, seed, longest } = workerData as {
  data: SharedMembersData;
  places: SharedPlaces[];
  seed: number;
  longest: number;
};
const TURNS = 30_000;
const random = seededRandom(seed);
const shared = new SharedMembers(data, { longest });
const all = places.map((of, table) => [of, table] as const);
const scratch = Buffer.alloc(longest);
let read = 0;
let wrong = 0;
let published = 0;
for (let turn = 0; turn < TURNS; turn++) {
  const [of, table] = all[turn % all.length] as readonly [SharedPlaces, number];
  const member = random() % of.places.length;
  const expected = memberBytes(member, table);
  const bytes = scratch.subarray(0, expected.length).fill(0);
  if (shared.read(of, member, 0, bytes.length, bytes, 0)) {
    read++;
    if (!bytes.equals(expected)) wrong++;
  } else if (shared.publish(of, member, expected)) {
    published++;
  }
}
parentPort?.postMessage({ read, wrong, published });
