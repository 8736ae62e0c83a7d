// The names of Docker Hub, and of others.
import { test } from 'tap';
import { apiHost, canonicalName, namesOf } from '../../../../daemon/registry/http/names.js';

await test('names', (t) => {
  t.same(namesOf('h:5000'), ['h:5000']);
  t.equal(namesOf('registry-1.docker.io')[0], 'docker.io');
  t.ok(namesOf('docker.io').includes('index.docker.io'));
  t.equal(canonicalName('registry-1.docker.io'), 'docker.io');
  t.equal(canonicalName('h'), 'h');
  t.equal(apiHost('docker.io'), 'registry-1.docker.io');
  t.equal(apiHost('h'), 'h');
  t.end();
});
