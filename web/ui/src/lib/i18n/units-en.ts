import type { PlanFault, UnitFault } from '../units/draft';
import type { Met, Net, Progress } from '../units/types';

const plural = (n: number, one: string, many = `${one}s`): string => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;

export const unitsEn = {
  title: 'Patrol units', refresh: 'Load again', none: 'No units yet', noneHint: 'Make the first unit: its people, its area, its hours. From then on it is proposed for incidents near it.',
  lead: 'Who can be sent: the four nets of patrol, with who is on duty now, who is under way and where.',
  nets: { street: 'Street patrol', community: 'Community and village', internal: 'Internal guard', checkpoint: 'Checkpoints' } as Record<Net, string>,
  counts: (on: number, busy: number, all: number) => `${on} of ${all} on duty · ${busy} under way`,
  columns: { name: 'Unit', members: 'People', contact: 'Contact', area: 'Area', duty: 'Duty', busy: 'Under way', where: 'Where' },
  everywhere: 'everywhere', areas: (first: string, more: number) => (more > 0 ? `${first} and ${more} more` : first),
  onUntil: (s: string) => `on duty until ${s}`, onAlways: 'always on duty', offUntil: (s: string) => `off duty until ${s}`, off: 'off duty', free: 'free',
  seen: (s: string) => `reported ${s} ago`, seenOld: (s: string) => `last reported ${s} ago`, post: 'at its post', nowhere: 'not known',
  progress: { sent: 'sent', received: 'received', arrived: 'arrived', done: 'done', declined: 'declined', recalled: 'called back' } as Record<Progress, string>,
  conflict: 'Two nodes changed this at once: look at it, and save it as it should be.', changed: (by: string, at: string) => `changed by ${by}, ${at}`,
  make: 'New unit', edit: 'Edit', editOf: (name: string) => `Edit ${name}`, next: 'Next unit', previous: 'Previous unit', save: 'Save', working: 'Working …', saved: (name: string) => `${name} is saved.`,
  remove: 'Take out of use', removeOf: (name: string) => `Take ${name} out of use?`, removeLead: 'It is not proposed any more. What it did stays in the records.', removed: (name: string) => `${name} is out of use.`,
  form: {
    name: 'Name', nameHint: 'As it is called over the radio.', net: 'Net', members: 'People', membersHint: 'One a line.', contact: 'Contact', contactHint: 'Call sign or telephone.',
    area: 'Area', areaHint: 'Sub-centres, stations or sites; none: everywhere.', always: 'Always on duty', duty: 'Hours of duty (local time)', from: 'From', to: 'Until', days: 'Days', everyDay: 'every day', nextDay: 'next day', addHours: 'Add hours', removeHours: 'Remove these hours',
    post: 'Post', postHint: 'Latitude, longitude (WGS-84), for example 28.97, 118.86. A checkpoint needs it.',
    fault: { name: 'Write a name.', members: 'Name at least one person.', contact: 'Write how to reach it.', post: 'Write latitude, then longitude: 28.97, 118.86.', postNeeded: 'A checkpoint needs its post, or no checkpoint plan can name it.', duty: 'Write hours such as 08:00 and 18:00; until may be on the next day.' } as Record<UnitFault, string>,
  },
  weekdays: ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'],
  duty: { button: 'Duty list', list: 'Units', title: 'Duty list', day: 'Day', before: 'Day before', after: 'Next day', today: 'Today', none: 'Nobody is on duty on this day', noneHint: 'Give units hours of duty, or look at another day.', off: (n: number) => `${plural(n, 'unit')} off duty all day`, now: 'on duty now', wholeDay: 'whole day' },
  plans: {
    title: 'Plans', lead: 'What is done step by step for a kind of incident. A step that is skipped needs a reason, and the supervisor is told.', none: 'No plans yet', noneHint: 'Make the first plan: its steps in order, with answers where it branches.',
    columns: { name: 'Plan', kinds: 'Kinds of incidents', steps: 'Steps', changed: 'Last change' }, all: 'all', steps: (n: number) => plural(n, 'step'),
    make: 'New plan', next: 'Next plan', previous: 'Previous plan', name: 'Name', kinds: 'Kinds of incidents', kindsHint: 'Separated by commas; none: offered for all.', step: (n: number) => `Step ${n}`, text: 'What is to be done', answers: 'Answers', answer: 'Answer', then: 'Then', below: 'the next step', end: 'the end', toStep: (n: number, text: string) => `step ${n}: ${text}`,
    addStep: 'Add a step', addAnswer: 'Add an answer', up: 'Up', down: 'Down', drop: 'Remove', dropStep: (n: number) => `Remove step ${n}`, dropAnswer: 'Remove this answer', upStep: (n: number) => `Step ${n} up`, downStep: (n: number) => `Step ${n} down`,
    removeOf: (name: string) => `Remove the plan ${name}?`, removeLead: 'It is not offered any more. Incidents that are handled by it go on by it.', remove: 'Remove', removed: (name: string) => `${name} is removed.`,
    fault: (fault: PlanFault): string => (fault === 'name' ? 'Write a name.' : fault === 'steps' ? 'A plan has at least one step.' : fault.startsWith('text') ? 'Write what is to be done.' : 'Each answer needs words of its own, and leads to a later step.'),
  },
  checkpoints: {
    title: 'Checkpoint plan', lead: 'Checkpoints and cameras in the order in which somebody who flees would meet them.', bearing: 'Direction of flight', reach: 'As far as (km)', speed: 'Speed (km/h)', speeds: { foot: 'on foot', bike: 'e-bike', car: 'car' },
    directions: ['N', 'NE', 'E', 'SE', 'S', 'SW', 'W', 'NW'], names: ['north', 'north-east', 'east', 'south-east', 'south', 'south-west', 'west', 'north-west'], degrees: 'Degrees', show: 'Show', none: 'Nothing known lies in this direction', noneHint: 'Look farther, or in another direction.', choose: 'Choose the direction of flight.',
    noPosition: 'The place has no position: shown by site, station and sub-centre.', more: (n: number) => `${n} farther ones are not shown.`, kind: { checkpoint: 'checkpoint', camera: 'camera' } as Record<Met['kind'], string>,
    along: (m: string) => `${m} ahead`, left: (m: string) => `${m} to the left`, right: (m: string) => `${m} to the right`, straight: 'straight ahead', minutes: (n: string) => `from ${n} min on`, off: 'off duty', busy: 'under way', watch: 'Live',
    nearness: { ahead: 'ahead', same_site: 'same site', same_station: 'same station', same_sub_centre: 'same sub-centre' } as Record<Met['nearness'], string>, columns: { what: 'What', where: 'Where', when: 'Earliest', contact: 'Contact' },
    fault: { reach: 'Write 0.1 to 100 kilometres.', speed: 'Write 1 to 250.', bearing: 'Write 0 to 360 degrees.' },
  },
  link: { title: 'Link for the unit', lead: (unit: string) => `${unit} opens this on a telephone: it shows this order and nothing else. It works once, for the first device, until the order ends.`, contact: 'How the unit reaches the desk', contactHint: 'A telephone number; the unit sees it.', make: 'Make the link', shown: 'The link is shown here once', copy: 'Copy', copied: 'Copied', until: (s: string) => `Good until ${s} at the latest.`, again: 'An earlier link of this order is no longer good.', revoke: 'Revoke', revoked: 'The link is no longer good.', done: 'Done' },
};

export type UnitsMessages = typeof unitsEn;
