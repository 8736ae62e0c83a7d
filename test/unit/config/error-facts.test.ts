// Errors of configurations and addresses: their facts.
import { test } from 'tap';
import { parseAddedExports } from '../../../daemon/config/added-exports.js';
import { parseDaemonConfig } from '../../../daemon/config/daemon-config.js';
import { parseImageConfig } from '../../../daemon/config/image-config.js';
import { parseListenAddress } from '../../../daemon/config/listen-address.js';
import { parseMetricsAddress } from '../../../daemon/config/metrics-address.js';
import { tlsFiles } from '../../../daemon/config/tls-config.js';
import { checkErrors, type ErrorRow } from '../../support/error-rows.js';

const path = '/etc/image/config.v1.json';
const image =
  (value: unknown): (() => unknown) =>
  () =>
    parseImageConfig(typeof value === 'string' ? value : JSON.stringify(value), path);
const daemon =
  (value: unknown): (() => unknown) =>
  () =>
    parseDaemonConfig(JSON.stringify(value), path);

const ROWS: Record<string, ErrorRow> = {
  'no JSON': [image('{'), 'BAD_CONFIG', { path }],
  'a key twice': [
    image('{"lowers":[{"file":"a","file":"b"}]}'),
    'BAD_CONFIG',
    { path, section: 'lowers.0.file' },
  ],
  'too deep': [image(`{"a":${'['.repeat(100)}${']'.repeat(100)}}`), 'BAD_CONFIG', { path }],
  'not an object': [image('[]'), 'BAD_CONFIG', { path, expected: 'an object', got: 'an array' }],
  'a wrong type': [
    image({ lowers: [{}, { file: 7 }] }),
    'BAD_CONFIG',
    { path, section: 'lowers.1.file', expected: 'a string', got: '7' },
  ],
  'a number that JavaScript rounds': [
    image('{"lowers":[{"size":9007199254740993}]}'),
    'BAD_CONFIG',
    {
      path,
      section: 'lowers.0.size',
      expected: 'a whole number from 0 to 9007199254740991',
      got: '9007199254740993',
    },
  ],
  'too many lowers': [
    image({ lowers: Array.from({ length: 256 }, () => ({ file: 'a' })) }),
    'LIMIT',
    { path, section: 'lowers', expected: 'at most 255', got: 256 },
  ],
  'an unknown key': [daemon({ exprots: {} }), 'BAD_CONFIG', { path }],
  'an unknown key inside': [daemon({ log: { levl: 'x' } }), 'BAD_CONFIG', { path, section: 'log' }],
  'a value out of range': [
    daemon({ threads: 0 }),
    'BAD_CONFIG',
    { path, section: 'threads', expected: 'a whole number from 1 to 256', got: '0' },
  ],
  'a misspelt choice': [
    daemon({ log: { level: 'wran' } }),
    'BAD_CONFIG',
    {
      path,
      section: 'log.level',
      expected: 'one of "error", "warn", "info", "debug"',
      got: '"wran"',
    },
  ],
  'a URL with a login': [
    daemon({ registries: { mirrors: [{ host: 'a', url: 'ftp://me:pass@b/' }] } }),
    'BAD_CONFIG',
    {
      path,
      section: 'registries.mirrors.0.url',
      expected: 'a URL of http or https',
      got: '"ftp://...@b/"',
    },
  ],
  'added exports': [
    () => parseAddedExports('{"version":2,"exports":[]}', path),
    'BAD_CONFIG',
    { path, section: 'version', expected: '1', got: '2' },
  ],
  'an address to listen at': [
    () => parseListenAddress('ftp://b'),
    'BAD_CONFIG',
    { got: '"ftp://b"' },
  ],
  'an address of metrics': [
    () => parseMetricsAddress('host'),
    'BAD_CONFIG',
    { section: 'metricsListen', expected: 'HOST:PORT or unix:///PATH', got: '"host"' },
  ],
  TLS: [() => tlsFiles({ key: 'k', pskFile: 'p' }), 'BAD_CONFIG', { section: 'tls' }],
};

await test('errors of configurations have their facts', async (t) => checkErrors(t, ROWS));
