// The walls between the folders of daemon/: which folder may import which, as rooms.json says. Every other import is
// refused, also from and to folders that it does not name.

import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { array, optional, parse, record, strictObject, string, type InferOutput } from 'valibot';
import { findCircles } from './circles.js';
import type { Module } from './modules.js';

const planSchema = strictObject({
  /** From the highest to the lowest. A room is a folder of daemon/, or a file directly in it. */
  rooms: record(
    string(),
    strictObject({
      /** A line for the table in docs/architecture.md. */
      is: string(),
      mayImport: array(string()),
      packages: optional(array(string()), []),
    }),
  ),
});

export type Plan = InferOutput<typeof planSchema>;

const ROOT = 'daemon/';

export function readPlan(path: string): Plan {
  return parse(planSchema, JSON.parse(readFileSync(path, 'utf8')));
}

/** @returns a line for each refused import, and for each mistake in the plan */
export function checkRooms(modules: readonly Module[], plan: Plan): string[] {
  return [
    ...checkPlan(plan),
    ...modules.flatMap((module) => checkModule(module, plan)),
    ...circlesOf(modules),
  ];
}

function checkPlan({ rooms }: Plan): string[] {
  const problems: string[] = [];
  const graph = new Map<string, string[]>();
  for (const [name, { mayImport }] of Object.entries(rooms)) {
    graph.set(name, mayImport);
    for (const other of mayImport) {
      if (!(other in rooms)) problems.push(`rooms.json: ${name}: there is no room "${other}"`);
    }
  }
  for (const circle of findCircles(graph)) {
    problems.push(`rooms.json: rooms in a circle: ${circle.join(' -> ')}`);
  }
  return problems;
}

function checkModule(module: Module, { rooms }: Plan): string[] {
  const name = roomOf(module.path) ?? module.path;
  const room = rooms[name];
  if (!room) return [`${module.path}:1: rooms.json has no room ${name}`];

  const problems = module.computedImports.map(
    (line) => `${module.path}:${line}: import() of a name that is not written out`,
  );
  for (const { specifier, target, line } of module.imports) {
    const at = `${module.path}:${line}`;
    if (target === null) {
      if (!specifier.startsWith('node:') && !room.packages.includes(packageOf(specifier))) {
        problems.push(`${at}: ${name} may not import the package ${packageOf(specifier)}`);
      }
      continue;
    }
    const other = roomOf(target) ?? target;
    if (other === name || room.mayImport.includes(other)) continue;
    problems.push(`${at}: ${name} may not import ${other}`);
  }
  return problems;
}

/** Imports that the plan allows and no module has: the plan describes what is, not what could be. */
export function findUnused(modules: readonly Module[], { rooms }: Plan): string[] {
  const used = new Set<string>();
  for (const { path, imports } of modules) {
    for (const { specifier, target } of imports) {
      const other = target === null ? packageOf(specifier) : roomOf(target);
      used.add(`${roomOf(path)} ${other}`);
    }
  }
  return Object.entries(rooms).flatMap(([name, { mayImport, packages }]) =>
    [...mayImport, ...packages]
      .filter((other) => !used.has(`${name} ${other}`))
      .map((other) => `rooms.json: ${name} does not import ${other}: take it out`),
  );
}

/** Files that import each other; an imported type counts like any other import. */
function circlesOf(modules: readonly Module[]): string[] {
  const graph = new Map(
    modules.map(({ path, imports }) => [path, imports.flatMap(({ target }) => target ?? [])]),
  );
  return findCircles(graph).map((circle) => `${circle[0]}:1: circle: ${circle.join(' -> ')}`);
}

/** Null for files outside daemon/. */
function roomOf(path: string): string | null {
  if (!path.startsWith(ROOT)) return null;
  const inside = path.slice(ROOT.length);
  return inside.includes('/') ? dirname(inside) : inside;
}

function packageOf(specifier: string): string {
  return specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');
}
