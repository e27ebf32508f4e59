import type { EventKind, Priority } from '../events/types';

const number = (n: number): string => n.toLocaleString('en');
const plural = (n: number, one: string, many = `${one}s`): string => `${number(n)} ${n === 1 ? one : many}`;

const kinds: Record<EventKind, string> = {
  'camera.online': 'Camera online again',
  'camera.offline': 'Camera offline',
  'camera.stalled': 'Camera stalled',
  'camera.gap_opened': 'Not recorded',
  'camera.gap_closed': 'Recorded again',
  'camera.clock_offset': 'Camera clock off',
  'camera.picture_lost': 'Pictures lost',
  'storage.volume': 'Volume state',
  'storage.slow': 'Disk too slow, pictures lost',
  'node.journal': 'Journal trouble',
  'node.key': 'Another node key',
  'node.started': 'Server started',
  'node.stopped': 'Server stopped',
  'node.offline': 'Node gone',
  'node.online': 'Node back',
  'standby.taken': 'Recorded elsewhere',
  'standby.released': 'Recorded by its node again',
  'standby.returned': 'Footage brought back',
  'device.input': 'Device input',
  'operator.mark': 'Mark',
};

const priorities: Record<Priority, string> = { alarm: 'Alarm', normal: 'Normal', low: 'Low' };

/** Texts of the screens of events and tokens; they are loaded with them. */
export const eventsEn = {
  title: 'Events', lead: 'One cause is one row, with how often and from when to when. Open rows stand first. Everything is in the journal.',
  kinds, priorities,
  areas: { 'camera.': 'Cameras: all', 'storage.': 'Storage: all', 'node.': 'Server: all', 'standby.': 'Recorded elsewhere: all' } as Record<string, string>,
  every: 'Every kind', everyPriority: 'Every priority', kind: 'Kind', priority: 'Priority', state: 'State', camera: 'Camera', cameraHint: 'Every camera',
  states: { '': 'Open and over', open: 'Open only', over: 'Over only' },
  open: 'open', over: 'over', point: 'happened', lapsed: 'counts as over: too many rows were open', openNow: (alarms: number, all: number) => `${number(all)} open, ${plural(alarms, 'alarm')}`,
  from: 'From', to: 'To', show: 'Show', all: 'Show everything', more: 'Older', loadingMore: 'Loading …',
  columns: { state: 'State', priority: 'Priority', what: 'What', camera: 'Camera', count: 'Times', first: 'First', last: 'Last' },
  times: (n: number) => `× ${number(n)}`, parts: (n: number) => plural(n, 'thing open', 'things open'),
  none: 'Nothing has happened yet', noneHint: 'Outages of cameras, gaps, volumes, device inputs and marks appear here by themselves. Devices send events with a token.', noMatch: 'No event fits', noMatchHint: 'Widen kind, camera or time.',
  detail: 'Event', records: 'Single records', counted: (n: number) => `stands for ${plural(n, 'event')}`, notedLate: (s: string) => `noted ${s} later`, facts: 'Facts', id: 'Record', cause: 'Cause', who: 'From', node: 'server', token: (s: string) => `device ${s}`, operator: (s: string) => s,
  lasted: (s: string) => `lasted ${s}`, lasts: (s: string) => `for ${s}`, live: 'Live', play: 'Footage then', phase: { opens: 'begins', closes: 'ends', point: '' } as Record<string, string>,
  noRecords: 'No record is left in the journal.', gone: 'This row is no longer in memory.', goneHint: 'Its records are in the journal; narrow by time to find them.', of: (kind: string) => `Event: ${kind}`, next: 'Next row', previous: 'Row before', openRow: 'Show its records',
  mark: 'Mark a camera', marked: 'The mark is noted.', markTitle: 'Mark a camera', markLead: 'A mark is an event of its own, with your name and the time.', markText: 'What is to be seen', markTextHint: 'At most 500 characters.', markNeeds: 'Write what is to be seen.', markLong: 'This has more than 500 characters.', markCamera: 'Choose a camera.', markAlarm: 'Alarm: somebody must look now', markSubmit: 'Mark', working: 'Working …',
  origin: 'Node', everyNode: 'All nodes', at: (node: string) => `at ${node}`, ahead: 'ahead of its record', aheadHint: 'This alarm came at once; its record is still on its way and takes its place.',
  fact: {
    failure: 'reason', detail: 'details', reason: 'reason', offset_us: 'clock offset', lost_packets: 'packets lost', pictures: 'pictures and sounds lost', volume: 'volume', state: 'state', errors: 'failed writes', version: 'version', unclean: 'the run before ended without a stop', input: 'input', found: 'found', key: 'key', before: 'before', gone: 'no longer configured', disabled: 'disabled', causes: 'causes', node: 'node', heard_us: 'last heard', by: 'by', cameras: 'cameras', segments: 'files', bytes: 'bytes', refused: 'refused',
  } as Record<string, string>,
  values: { on: 'on', off: 'off', pulse: 'pulse', full: 'full', error: 'error', missing: 'missing', ok: 'normal', true: 'yes' } as Record<string, string>,
  tokens: {
    title: 'Tokens', lead: 'With a token a device or another system sends events (POST /api/v1/events) or reads alarms and incidents (GET /api/v1/duty/stream), as far as it says. It can do nothing else.', none: 'There are no tokens', noneHint: 'Make one for each device or system, so that each can be revoked alone.', make: 'Make a token', columns: { name: 'Name', reach: 'May send', kinds: 'Kinds', priority: 'Up to', rate: 'A minute', made: 'Made', state: 'State' },
    good: 'good', revoked: (by: string, at: string) => `revoked by ${by}, ${at}`, everywhere: 'every camera, and what belongs to none', reach: (cameras: number, places: number) => [cameras > 0 ? plural(cameras, 'camera') : '', places > 0 ? plural(places, 'place') : ''].filter(Boolean).join(', '),
    revoke: 'Revoke', revokeAsk: (name: string) => `Revoke ${name}?`, revokeEffect: 'From now on nothing is taken from it. This cannot be undone; make a new token instead.', revokeDone: (name: string) => `${name} is revoked.`,
    name: 'Name', nameHint: 'Shown with every event of it.', what: 'Cameras and places', whatHint: 'Name, code or pinyin initials; a place stands for its cameras.', all: 'Every camera, and events that belong to none', reads: 'May read alarms and incidents (stream)', kindsOf: 'Kinds of events', most: 'Highest priority', rate: 'Events a minute', rateHint: '1 to 600,000',
    fault: { name: 'A token needs a name.', what: 'Choose cameras or places, or every camera.', kinds: 'Choose a kind.', rate: 'This is no number from 1 to 600,000.' },
    shownOnce: 'The token is shown here once', shownLead: 'Keep it in the device now. It is stored nowhere and cannot be shown again.', copy: 'Copy', copied: 'Copied', done: 'I have it', example: 'How it is used',
    refresh: 'Load again', help: 'The same on the console: fengsui token create | list | revoke.',
  },
  keys: { refresh: 'Load again', close: 'Close the event', filter: 'To the filters' },
};

export type EventsMessages = typeof eventsEn;
