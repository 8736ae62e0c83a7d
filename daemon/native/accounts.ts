// Users and groups of this system. Conventions of all calls: addon.ts.

import { addon } from './addon.js';

interface Accounts {
  /** The number of a user; -ENOENT if there is no such name. May wait for a directory service. */
  userId(name: string): number;
  /** The number of a group; -ENOENT if there is no such name. May wait for a directory service. */
  groupId(name: string): number;
}

export const accounts = addon as Accounts;
