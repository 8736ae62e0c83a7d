// Which cases run on one machine, one after another: to boot one takes most of the time of a short case.
import type { HostCase } from './host-case.js';

/** @returns the machines, each with its cases in their order. A case whose machine is not among them has its own */
export function machinesOf(cases: readonly HostCase[]): readonly (readonly HostCase[])[] {
  const machines: HostCase[][] = [];
  for (const each of cases) {
    const machine = machines.find((others) => others.at(-1)?.name === each.continues?.name);
    if (machine === undefined) machines.push([each]);
    else machine.push(each);
  }
  return machines;
}
