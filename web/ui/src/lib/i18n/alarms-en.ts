import type { AlarmState, FalseReason, Level } from '../duty/types';
import type { StateFilter } from '../duty/alarms';

// Made once: to make it anew for each number of a list of hundreds is slow.
const format = new Intl.NumberFormat('en');
const number = (n: number): string => format.format(n);
const plural = (n: number, one: string, many = `${one}s`): string => `${number(n)} ${n === 1 ? one : many}`;

const states: Record<AlarmState, string> = { new: 'new', acknowledged: 'acknowledged', in_progress: 'in progress', resolved: 'resolved', false: 'false alarm', closed: 'closed' };
const levels: Record<Level, string> = { 1: 'Critical', 2: 'Urgent', 3: 'Usual', 4: 'Low' };
const reasons: Record<FalseReason, string> = { nothing: 'nothing to be seen', weather: 'weather or light', animal: 'animal', test: 'test or work', device_fault: 'device at fault', authorised: 'authorised people' };
const filters: Record<StateFilter, string> = { open: 'Open', new: 'New', acknowledged: 'Acknowledged', in_progress: 'In progress', snoozed: 'Snoozed', settled: 'Resolved or false', closed: 'Closed', all: 'All' };

/** Texts of alarms: the strip, the list, the page of one. */
export const alarmsEn = {
  title: 'Alarms', one: 'Alarm', lead: 'What somebody must judge. The most urgent stand first, of one level the oldest.',
  states, levels, reasons, filters, level: (n: number) => `Level ${n}`,
  strip: {
    label: 'Open alarms', none: 'No open alarms', allTaken: (n: number) => `No new alarm, ${number(n)} in work`, more: (n: number) => `${number(n)} more`, news: (n: number) => `${number(n)} new`, overdue: (n: number) => `${number(n)} overdue`, failed: 'Alarms cannot be loaded', retry: 'Try again',
    hint: 'A acknowledge · F and 1-6 false · I incident · Enter look', changed: 'The first alarm has changed just now. Press the key again.', nothing: 'There is no new alarm.',
  },
  sound: { on: 'Sound is on: turn off', muted: 'Sound is off: turn on', blocked: 'Sound is off: click to turn on', silence: 'Silence' },
  keys: { group: 'Alarms', strip: 'To the alarm strip', list: 'List of alarms', incidents: 'List of incidents', acknowledge: 'Acknowledge the first or chosen alarm', silence: 'Silence the sound', next: 'Next alarm', previous: 'Alarm before', open: 'Look: live, 10 s before, neighbours', leave: 'Back to the page', filter: 'To the filters', refresh: 'Load again', choose: 'Choose for all together', reason: (n: number) => `Reason ${n}` },
  /** By the name of the act: as a button, as what somebody did, and what is said when it is done. */
  verbs: {
    acknowledge: 'Acknowledge', begin: 'Begin work', resolve: 'Resolve', dismiss: 'False alarm', reopen: 'Reopen', close: 'Close', prioritise: 'Priority', own: 'Forward', take: 'Take over', snooze: 'Snooze', wake: 'Wake', note: 'Note', incident: 'Make incident', settle: 'Settle',
  },
  did: {
    raise: 'raised', counted: 'counted', acknowledge: 'acknowledged', begin: 'began work', resolve: 'resolved', dismiss: 'found it false', reopen: 'reopened', close: 'closed', prioritise: 'set the priority', own: 'gave it on', snooze: 'snoozed', wake: 'woke it', escalate: 'escalated: overdue', note: 'noted', link: 'made an incident', settle: 'settled a conflict',
  } as Record<string, string>,
  done: {
    acknowledge: (s: string) => `Acknowledged: ${s}`, dismiss: (s: string) => `False alarm: ${s}`, resolve: (s: string) => `Resolved: ${s}`, other: (s: string) => `Done: ${s}`,
  } as Record<string, (s: string) => string>,
  why: {
    already_acknowledged: 'It was acknowledged already', already_settled: 'It was resolved or found false already', already_closed: 'It was closed already', not_yet: 'That cannot be done yet', already_linked: 'It is an incident already', unknown: 'This alarm is not known here',
  } as Record<string, string>,
  faster: (why: string, who: string) => (who === '' ? `${why}.` : `${why} by ${who}.`), asItIs: (state: string, owner: string) => `It is ${state} now${owner === '' ? '' : `, owned by ${owner}`}.`,
  columns: { level: 'Level', what: 'Alarm', where: 'Where', state: 'State', owner: 'Owner', count: 'Times', at: 'Since' },
  filter: { state: 'State', level: 'Level', everyLevel: 'Every level', camera: 'Camera', cameraHint: 'Every camera', owner: 'Owner', everybody: 'Everybody', mine: 'Mine', overdue: 'Overdue only', conflict: 'With conflicts only', all: 'Show everything' },
  counts: (open: number, news: number, overdue: number) => `${number(open)} open, ${number(news)} new, ${number(overdue)} overdue`,
  none: 'No open alarms', noneHint: 'Rules make alarms of events. They appear here by themselves.', noMatch: 'No alarm fits', noMatchHint: 'Widen state, level, camera or owner.', loadingMore: 'Loading more …',
  times: (n: number) => `× ${number(n)}`, overdue: 'overdue', overdueFor: (s: string) => `overdue for ${s}`, dueIn: (s: string) => `to be acknowledged within ${s}`, snoozedUntil: (s: string) => `snoozed until ${s}`, escalated: (n: number) => `escalated ${n === 1 ? 'once' : `${number(n)} times`}`, conflicts: (n: number) => plural(n, 'conflict'), ofIncident: (n: string) => `incident ${n}`, noCamera: 'no camera', at: (node: string) => `node ${node}`,
  bulk: { label: 'What is chosen', chosen: (n: number) => `${number(n)} chosen`, all: 'Choose all shown', none: 'Choose none', pick: (s: string) => `Choose ${s}`, done: (n: number) => `Done to ${plural(n, 'alarm')}.`, refused: (n: number) => `${plural(n, 'alarm')} refused, because their state has changed.`, falseAll: 'False alarm, all', ask: (verb: string, n: number) => `${verb}: ${plural(n, 'alarm')}` },
  page: {
    live: 'Live', before: '10 s before', neighbours: 'The nearest cameras', noNeighbours: 'No other camera is near: give cameras positions, or put them on one site.', noCamera: 'This alarm is about no camera', noCameraHint: 'Where it belongs to a site, the cameras of that site are below.', toPlay: 'Whole footage', toWall: 'On the wall',
    facts: 'Facts', history: 'What was done', rule: 'Rule', kind: 'Kind', where: 'Where', camera: 'Camera', site: 'Site', node: 'Node', first: 'First event', last: 'Latest event', count: 'Events', raised: 'Raised', due: 'Due', owner: 'Owner', nobody: 'nobody', state: 'State', since: 'since', outcome: 'Outcome', text: 'Words', incident: 'Incident', event: 'Event row', openEvent: 'Show its records',
    hold: 'Footage', held: (from: string, to: string, until: string) => `held from ${from} to ${to}${until === '' ? '' : `, until ${until}`}`, notHeld: 'not held: the rule does not say so', heldBy: (node: string) => `at node ${node}`, holdAsked: (node: string) => `asking node ${node}`, holdUnknown: (node: string) => `not known: node ${node} does not answer; it holds by itself`, holdRefused: 'not known: this server could not ask; the node holds by itself', holdWaits: (days: number) => `will be held for ${plural(days, 'day')}`,
    gone: 'This alarm is not known', goneHint: 'It may be of another node, or the address is wrong.', noId: 'No alarm is chosen', toList: 'To the list of alarms', replay: 'From 10 s before', metres: (s: string) => `${s} away`, sameSite: 'same site',
    acknowledgedBy: 'Acknowledged', settledBy: 'Settled', closedBy: 'Closed', by: (who: string, at: string) => `${who}, ${at}`,
  },
  form: {
    cancel: 'Cancel', send: 'Do it', result: 'What was done', resultHint: 'Stands in the record and in the reports.', reason: 'Reason', own: 'Own words', falseTitle: 'Why is it false?', falseHint: 'Keys 1 to 6', needs: 'Write a reason.', note: 'Note', noteNeeds: 'Write something.', level: 'New level', levelReason: 'Why (may be empty)', owner: 'To whom', ownerHint: 'A name of this system, or any other name.', ownerNeeds: 'Say to whom.', words: 'Words for them (may be empty)',
    snooze: 'Comes back', snoozeUsual: 'to be looked at later', snoozeFor: { 15: 'in 15 minutes', 60: 'in 1 hour', 240: 'in 4 hours' } as Record<number, string>, until: 'at', untilHint: 'At most 12 hours ahead', untilBad: 'This is no time within the next 12 hours. Examples: 1430, +30m.', kept: 'What you typed is still here.',
  },
  conflict: {
    title: 'Conflicts', lead: 'Two nodes acted while they did not hear of each other. Nothing is lost: look what stands, and settle it.', void: 'Changed nothing', voidHint: 'It was possible where it was done, and was not any more among what others had done meanwhile.', overrules: (what: string) => `Two decided on ${what}`, overrulesHint: 'Neither knew of the other. The later one stands.', stands: 'stands', overruled: 'overruled', settle: 'Settle: leave it as it is', settled: 'settled', note: 'Words (may be empty)',
    what: { state: 'the state', outcome: 'the outcome', owner: 'the owner', level: 'the level', snooze: 'the snooze', incident: 'the incident' } as Record<string, string>,
  },
  acts: { none: 'Nothing was done yet.', system: 'the system', token: (s: string) => `device ${s}`, unit: (s: string) => `unit ${s}`, at: (node: string) => `at ${node}`, more: (n: number) => `${plural(n, 'earlier act')}`, toLevel: (n: unknown) => `to level ${n}`, toOwner: (s: unknown) => `to ${s}`, until: (s: string) => `until ${s}` },
  duty: { title: 'Duty', open: 'Open alarms', news: (n: number) => `${number(n)} new`, overdue: 'Overdue', of: 'not acknowledged in time', incidents: 'Incidents in work', opened: (n: number) => `${number(n)} not begun`, conflicts: (n: number) => `${plural(n, 'conflict')} to be settled`, notices: 'Skipped steps', skipped: (who: string, step: string, why: string) => `${who} skipped “${step}”: ${why}`, seen: 'Seen' },
};

export type AlarmMessages = typeof alarmsEn;
