import { expect, test } from 'vitest';
import { StartGate, type Ticket } from './start-gate';

test('a few at a time, highest priority first, the rest as others finish', async () => {
  const started: string[] = [];
  const timers: (() => void)[] = [];
  const gate = new StartGate(2, (run) => timers.push(run));
  const tickets = new Map<string, Ticket>();
  for (const [name, priority] of [['a', 0], ['b', 0], ['c', 9], ['d', 0]] as const) {
    tickets.set(name, gate.enter(priority, () => started.push(name)));
  }
  await Promise.resolve();
  expect(started).toEqual(['c', 'a']);
  tickets.get('d')!.done(); // left before its turn
  tickets.get('c')!.done();
  tickets.get('c')!.done();
  expect(started).toEqual(['c', 'a', 'b']);
  gate.enter(0, () => started.push('e'));
  await Promise.resolve();
  expect(started).toHaveLength(3);
  for (const run of timers.splice(0)) run(); // those that never show a picture give way
  expect(started).toEqual(['c', 'a', 'b', 'e']);
});
