// Numbers of bytes in the units that people read. Pure.

import { counted } from './counted.js';

const UNITS = ['KiB', 'MiB', 'GiB', 'TiB', 'PiB'];

/** "812 bytes", "1.1 MiB". */
export function humanSize(bytes: number): string {
  if (bytes < 1024) return counted(Math.round(bytes), 'byte');
  let value = bytes / 1024;
  let unit = 0;
  // From 1023.95 on, toFixed(1) would print 1024.0.
  while (value >= 1023.95 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${value.toFixed(1)} ${UNITS[unit] ?? ''}`;
}

/** "812 bytes", "1.1 MiB (1153434 bytes)". */
export function exactSize(bytes: number): string {
  return bytes < 1024 ? humanSize(bytes) : `${humanSize(bytes)} (${exactBytes(bytes)} bytes)`;
}

/** The digits of a number from a file: from 2^53 on, JavaScript has not all of them. */
export function exactBytes(bytes: number): string {
  return bytes > Number.MAX_SAFE_INTEGER ? 'more than 2^53' : `${bytes}`;
}
