import type { RuleFault } from '../rules/draft';
import type { When } from '../rules/types';

const number = (n: number): string => n.toLocaleString('en');
const plural = (n: number, one: string, many = `${one}s`): string => `${number(n)} ${n === 1 ? one : many}`;

const when: Record<When, string> = { each: 'Every event', threshold: 'A number goes beyond a limit', repetition: 'Several events within a time', absence: 'No event for a time', lasting: 'Something lasts too long' };
const fault: Record<RuleFault, string> = {
  name: 'A rule needs a name of 1 to 64 characters, without < and >.', fact: 'Name the fact, as events have it.', limits: 'Give a number, at least or at most; the one not above the other.', times: 'Give 2 to 1,000.', span: 'Give 1 to 604,800 seconds (a week).',
  hours: 'Write hours as 22:00.', due: 'Give 0 to 604,800 seconds.', holdOff: 'Give 0 to 604,800 seconds.', holdDays: 'Give 0 to 365 days.', chosen: 'Choose cameras or places, or watch all of them together.',
};

/** Texts of the screen of rules; they are loaded with it. */
export const rulesEn = {
  title: 'Rules', lead: 'A rule makes alarms of events. One cause of one rule is one alarm while it is open, with a count.', make: 'New rule', refresh: 'Load again', working: 'Working …',
  none: 'There are no rules', noneHint: 'Without one no alarm is raised. Begin with alarms of devices, or try one on the last days.',
  behind: (n: number) => `${plural(n, 'record')} not judged yet`, crowded: (n: number) => `${plural(n, 'event')} share alarms: there are too many causes`,
  columns: { state: 'State', name: 'Rule', looks: 'Looks for', where: 'Where', level: 'Level', did: 'Last 7 days', made: 'Changed' },
  firstStart: 'first start', on: 'in use', off: 'off', level: (n: number) => `level ${n}`, alarms: (n: number, wrong: number) => (n === 0 ? 'no alarm' : wrong === 0 ? plural(n, 'alarm') : `${plural(n, 'alarm')}, ${number(wrong)} false`), open: (n: number) => `${number(n)} open`,
  conflict: 'changed at two places at once: the later one stands', origin: 'at every node', here: 'at the centre, over all nodes',
  everywhere: 'everywhere', cameras: (n: number) => plural(n, 'camera'), places: (n: number) => plural(n, 'place'), everyKind: 'every kind', always: 'always', hoursOf: (n: number) => plural(n, 'stretch of hours', 'stretches of hours'),
  when, fault, atLeast: (p: string) => `from ${p} on`,
  says: { each: 'every one', threshold: (fact: string, min: string, max: string) => [`${fact}`, min === '' ? '' : `≥ ${min}`, max === '' ? '' : `≤ ${max}`].filter(Boolean).join(' '), repetition: (n: number, s: string, together: boolean) => `${number(n)} within ${s}${together ? ', all together' : ''}`, absence: (s: string, together: boolean) => `none for ${s}${together ? ', all together' : ''}`, lasting: (s: string) => `lasts ${s}` },
  edit: 'Change', editOf: (name: string) => `Change ${name}`, remove: 'Remove', removeAsk: (name: string) => `Remove ${name}?`, removeEffect: 'It makes no more alarms. Those that are there stay.', removed: (name: string) => `${name} is removed.`, saved: (name: string) => `${name} is saved.`, tryAll: 'Try all out', tryOut: 'Try out', tryHide: 'Hide the try-out',
  form: {
    new: 'New rule', name: 'Name', nameHint: 'Shown with every alarm of it.', enabled: 'In use', kinds: 'Kinds of events', kindsHint: 'None chosen: every kind.', priority: 'Least priority', any: 'any', where: 'Cameras and places', whereHint: 'None: everywhere, events of no camera too. A place stands for its cameras.',
    trigger: 'Makes an alarm when', fact: 'Fact', factHint: 'Its name in the data of the event, for example temperature.', min: 'At least', max: 'At most', times: 'Events', within: 'Within, seconds', for: 'For, seconds', together: 'All cameras together, not each by itself',
    hours: 'Hours', hoursHint: 'None: always. An end before the beginning is on the next day.', addHours: 'Add hours', removeHours: 'Take these hours out', from: 'From', to: 'To', days: ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'], everyDay: 'No day chosen: every day.',
    level: 'Level', levels: ['1: before all others', '2: high', '3: usual', '4: when there is time'], due: 'To be acknowledged within, seconds', dueHint: '0: never overdue', holdOff: 'Pause after an alarm, seconds', holdOffHint: 'The same cause raises no new alarm meanwhile.', holdDays: 'Keep footage, days', holdDaysHint: '0: not held', judged: 'Judged', save: 'Save', saveDespite: 'Save all the same',
    warned: 'Before this is saved', refused: 'This cannot be saved', nothing: 'Nothing was saved. Change it, or save it all the same.', taken: 'Somebody changed this rule meanwhile. Close the form and load the list again.',
  },
  warning: {
    never_places: 'None of its cameras and places is configured here: it can never fire.', never_kinds: 'No kind of it is known here: it can never fire.', unknown_kinds: 'Some of its kinds are not known here.', unknown_cameras: 'Some of its cameras are not configured here.', unknown_area: 'Some of its places have no camera here.',
    never_cameras: 'Events of its kinds belong to no camera, and it looks at cameras only: it can never fire.', never_priority: 'Events of its kinds never have this priority: it can never fire.', never_hours: 'It is in force at no time: it can never fire.', always_each: 'It makes an alarm of every event of every kind.',
    never_lasting: 'Events of its kinds do not last: it can never fire.', never_absence: 'Its hours are never as long as it waits: it can never fire.', twice: 'Another rule looks for the same: one cause makes two alarms.', same_name: 'Another rule has the same name.', off: 'It does nothing while it is off.', always_many: 'On the last day it would have made very many alarms.',
  } as Record<string, string>,
  trial: {
    title: 'Try-out', lead: 'What it would have made of recorded events. An alarm without an event for ten minutes counts as dealt with.', from: 'From', to: 'To', run: 'Try out', running: 'Trying …', sum: (alarms: number, events: number) => `${plural(alarms, 'alarm')} of ${plural(events, 'event')}`, none: 'It would not have fired', noneHint: 'Take a longer time, or look for more.', more: (n: number) => `and ${number(n)} more`, times: (n: number) => `× ${number(n)}`, events: 'Events then', columns: { first: 'First', what: 'What', camera: 'Camera', count: 'Times', rule: 'Rule' }, backward: 'The end must come after the beginning.', bad: 'This is no time.', absence: 'No event',
  },
};

export type RulesMessages = typeof rulesEn;
