import type { Channel, IncidentState, Net, Progress, StepState } from '../duty/types';
import type { IncidentFault, IncidentStateFilter } from '../duty/incidents';

// Made once: to make it anew for each number of a list of hundreds is slow.
const format = new Intl.NumberFormat('en');
const number = (n: number): string => format.format(n);
const plural = (n: number, one: string, many = `${one}s`): string => `${number(n)} ${n === 1 ? one : many}`;

const states: Record<IncidentState, string> = { open: 'open', handling: 'being handled', resolved: 'resolved', closed: 'closed', cancelled: 'cancelled' };
const filters: Record<IncidentStateFilter, string> = { active: 'In work', open: 'Open', handling: 'Being handled', resolved: 'Resolved', closed: 'Closed', cancelled: 'Cancelled', all: 'All' };
const channels: Record<Channel, string> = { alarm: 'alarm', desk: 'desk', township_centre: 'township centre', grid_helper: 'grid helper', telephone: 'telephone', other_system: 'other system' };
const progress: Record<Progress, string> = { sent: 'sent', received: 'received', arrived: 'arrived', done: 'done', declined: 'declined', recalled: 'recalled' };
const nets: Record<Net, string> = { street: 'street patrol', community: 'community and village', internal: 'internal', checkpoint: 'checkpoint' };
const steps: Record<StepState, string> = { done: 'done', skipped: 'skipped', next: 'next', later: 'later', passed: 'not needed' };
const faults: Record<IncidentFault, string> = { kind: 'Say what kind it is.', title: 'Say in a few words what it is.', long: 'This has more than 200 characters.', place: 'Say where: a site, an address or a point.', code: 'Choose a site or a camera, not an area.', point: 'Write latitude and longitude, for example 28.9701, 118.8596.' };

/** Texts of incidents: the list, the form, the page of one. */
export const incidentsEn = {
  title: 'Incidents', one: 'Incident', lead: 'What is being handled. The newest stand first.', states, filters, channels, progress, nets, stepStates: steps, faults,
  columns: { number: 'Number', level: 'Level', title: 'What', place: 'Where', state: 'State', people: 'In charge', steps: 'Steps', units: 'Units', opened: 'Opened' },
  filter: { state: 'State', kind: 'Kind', everyKind: 'Every kind', person: 'In charge', everybody: 'Everybody', mine: 'Mine', all: 'Show everything' },
  counts: (active: number, open: number) => `${number(active)} in work, ${number(open)} not begun`,
  none: 'No incident is in work', noneHint: 'Make one of an alarm, or by hand: N.', noMatch: 'No incident fits', noMatchHint: 'Widen state, kind or person.', loadingMore: 'Loading more …',
  stepsOf: (done: number, all: number) => (all === 0 ? '' : `${number(done)} of ${number(all)}`), skipped: (n: number) => `${number(n)} skipped`, unitsOf: (open: number, all: number) => (all === 0 ? '' : open === 0 ? `${number(all)} over` : `${number(open)} under way`), conflicts: (n: number) => plural(n, 'conflict'), at: (node: string) => `node ${node}`,
  make: 'New incident',
  form: {
    kind: 'Kind', kindHint: 'Own words of the city; plans are bound to kinds.', title: 'What it is', text: 'More words', level: 'Level', channel: 'Who told of it', reference: 'Their number', referenceHint: 'May be empty.', where: 'Where', site: 'Site or camera', siteHint: 'Name, code or pinyin initials.', address: 'Address', point: 'Point', pointHint: 'Latitude and longitude in degrees, WGS-84.', submit: 'Make incident', working: 'Working …', save: 'Save', cancel: 'Cancel', needs: 'Write a reason.', needsText: 'Write something.', kept: 'What you typed is still here.',
  },
  keys: { next: 'Next incident', previous: 'Incident before', open: 'Open', make: 'New incident', refresh: 'Load again', filter: 'To the filters' },
  verbs: { edit: 'Edit', assign: 'People in charge', resolve: 'Resolve', reopen: 'Reopen', close: 'Close', cancel: 'Cancel: it was none', note: 'Note', dispatch: 'Send a unit', step: 'Step done', skip: 'Skip' },
  did: {
    open: 'opened', assign: 'put in charge', edit: 'changed the facts', add_alarm: 'added an alarm', add_camera: 'added a camera', add_clip: 'added a clip', note: 'noted', attach: 'attached', share: 'shared with a node', use_plan: 'chose a plan', step_done: 'did a step', step_skipped: 'skipped a step', dispatch: 'sent', progressed: 'reported', resolve: 'resolved', reopen: 'reopened', close: 'closed', cancel: 'cancelled', settle: 'settled a conflict',
    to_sent: 'sent', to_received: 'received', to_arrived: 'arrived', to_done: 'done', to_declined: 'declined', to_recalled: 'recalled',
  } as Record<string, string>,
  why: {
    already_over: 'It is over', already_closed: 'It was closed already', already_cancelled: 'It was cancelled already', already_resolved: 'It was resolved already', not_yet: 'That cannot be done yet', steps_left: 'Steps of the plan are left', units_under_way: 'A unit is still under way', not_next: 'Another step is next', already_taken: 'Somebody took this step already', already_sent: 'This unit is under way here already', backward: 'The unit is further already', unknown: 'This incident is not known here', plan_begun: 'A step of another plan was done',
  } as Record<string, string>,
  refusedNow: (state: string) => `It is ${state} now.`,
  page: {
    gone: 'This incident is not known', goneHint: 'It may be of another node, or the address is wrong.', noId: 'No incident is chosen', toList: 'To the list of incidents', facts: 'Facts', kind: 'Kind', where: 'Where', channel: 'Told by', reference: 'Their number', opened: 'Opened', by: (who: string, at: string) => `${who}, ${at}`, people: 'In charge', nobody: 'nobody', result: 'Result', over: 'Over', text: 'Words', state: 'State', since: 'since', node: 'Node', history: 'What was done', point: (lat: number, lon: number) => `${lat.toFixed(5)}, ${lon.toFixed(5)}`,
    peopleHint: 'One name a line, or with commas.', takeOver: 'I take it', resolveHint: 'No step may be left and no unit under way.', resolve: 'How it was dealt with', reason: 'Why',
  },
  plan: {
    title: 'Plan', none: 'No plan is chosen', noneHint: 'Choose one that is bound to this kind.', offered: 'Choose a plan', nothing: 'No plan is there for this kind. Plans are made on the screen of plans.', use: 'Use', done: 'Done', skip: 'Skip', skipWhy: 'Why is it skipped? The supervisor is told.', answer: 'Answer', note: 'Words (may be empty)', through: 'The plan is through.', skipped: (why: string) => `skipped: ${why}`, answered: (s: string) => `answer: ${s}`, by: (who: string, at: string) => `${who}, ${at}`, next: 'Next step', later: (n: number) => `${plural(n, 'step')} after that`,
  },
  dispatch: {
    title: 'Units', none: 'No unit was sent.', send: 'Send a unit', nearest: 'Nearest first', sendTo: (s: string) => `Send ${s}`, order: 'What it is to do (may be empty)', busy: 'under way elsewhere', offDuty: 'off duty', here: 'under way here', metres: (s: string) => `${s} away`, noPlace: 'place not known', noUnits: 'No unit is known. Units are made on the screen of units.', contact: 'Contact', result: 'How it ended, or why', resultNeeds: 'Write how it ended.', link: 'Link for its telephone', other: 'Other units', to: { sent: 'Sent', received: 'Received', arrived: 'Arrived', done: 'Done', declined: 'Declined', recalled: 'Recall' } as Record<Progress, string>, sentBy: (who: string) => `sent by ${who}`,
  },
  cameras: { title: 'Cameras', none: 'No camera is linked.', add: 'Add a camera', addHint: 'Name, code or pinyin initials.', live: 'Live', hide: 'Hide', footage: 'Footage', clip: 'Keep as clip', clips: 'Clips', noClips: 'No clip was added.', clipFrom: 'From', clipTo: 'To', clipNote: 'What is seen', clipAdd: 'Add clip', clipBad: 'The end must lie after the beginning. Examples: 1430, -10m.', alarms: 'Alarms', noAlarms: 'It was not made of alarms.' },
  papers: { notes: 'Notes', noNotes: 'Nothing was noted.', note: 'Add a note', files: 'Papers', noFiles: 'Nothing is attached.', attach: 'Attach a file', types: 'JPEG, PNG, WebP, PDF, MP4 or plain text, at most 16 MiB.', tooLarge: (s: string) => `${s} is larger than 16 MiB. Cut or compress it first.`, empty: (s: string) => `${s} is empty.`, sending: (s: string, share: string) => `${s}: ${share}`, download: 'Download', stop: 'Stop', unsupported: (s: string) => `${s} is no file of these types; its name does not count, its bytes do.` },
};

export type IncidentMessages = typeof incidentsEn;
