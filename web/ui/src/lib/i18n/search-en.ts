import type { Fault } from '../search/ask';
import type { Why } from '../search/types';

const number = (n: number): string => n.toLocaleString('en');
const plural = (n: number, one: string, many = `${one}s`): string => `${number(n)} ${n === 1 ? one : many}`;

/** Texts of the search screen; they are loaded with it. */
export const searchEn = {
  title: 'Search', lead: 'Events and footage of this server and of all nodes below it, by place and time. Nodes that do not answer are named.',
  what: { events: 'Events', cameras: 'Cameras and footage' }, whatLabel: 'What to search',
  place: 'Place', placeHint: 'name or code of a sub-centre, station, site or camera', from: 'From', to: 'To', fromHint: 'empty: a day before the end', toHint: 'empty: now',
  quick: 'Time', quicks: { hour: 'Last hour', today: 'Today', day: '24 hours', week: '7 days', month: '30 days' },
  kinds: (n: number) => (n === 0 ? 'Kinds: every kind' : `Kinds: ${number(n)} chosen`), priority: 'Priority', everyPriority: 'every priority',
  footage: 'Footage', footages: { '': 'with or without', any: 'with footage', gaps: 'with gaps', none: 'without footage' }, node: 'Node', everyNode: 'every node',
  submit: 'Search', searching: (nodes: number) => (nodes > 1 ? `Asking ${number(nodes)} nodes …` : 'Searching …'), clear: 'Clear',
  faults: { bad: 'This is no time. Write 14:30, 11-23 14:30 or -2h.', order: 'The end lies before the beginning.', long: 'At most 32 days. Search shorter ranges one after the other.', place: 'At most 128 characters.' } as Record<Fault, string>,
  begin: 'What are you looking for?', beginHint: 'Choose a place and a time, then search. Without them, the last 24 hours everywhere.',
  none: 'Nothing was found', noneHint: 'Widen place, time or kinds.', noneMissing: 'Nothing was found at the nodes that answered',
  found: (hits: number, more: boolean, nodes: number, ms: number) => `${number(hits)}${more ? '+' : ''} found at ${plural(nodes, 'node')} in ${number(ms)} ms`, more: 'More', loadingMore: 'Loading …', looking: 'Search goes on behind what was looked at so far.',
  missing: (n: number) => `${plural(n, 'node')} missing in this answer`, missingHint: 'What they have is not in the list. They record on.', since: (s: string) => `last heard ${s} ago`, never: 'not heard since this server started', nodesLink: 'Nodes and links',
  limited: (node: string, from: string) => `${node}: events before ${from} are in its journal only and were not searched.`,
  why: {
    gone: 'is not heard', no_answer: 'did not answer in time', link: 'cannot be reached: this server has no connection to its message servers', refused: 'refused; it may run an older version', unreadable: 'gave an answer that cannot be read', too_large: 'gave an answer that is too large',
    foreign_camera: 'answered for a camera of another node; those hits are left out', disorder: 'gave its hits out of order; they are left out', before: 'was missing on an earlier page; search again', no_time: 'was not asked, for lack of time', other: 'gave no whole answer',
  } as Record<Why, string>,
  columns: { what: 'What', priority: 'Priority', where: 'Where', began: 'Began', last: 'Last', footage: 'Footage then', camera: 'Camera', node: 'Node', stored: 'Stored', gaps: 'Gaps', open: '' },
  lasts: 'open', copied: 'from the centre’s copy', copiedHint: 'The node does not answer. This is what it told the centre before; nothing is known of its footage.', noCamera: 'of no camera', unknown: 'not known',
  around: { all: 'yes', part: (share: string) => `in part (${share})`, none: 'none' }, gaps: (n: number, length: string) => `${plural(n, 'gap')}, ${length}`, noGaps: 'none', noFootage: 'no footage', metres: (n: number) => `${number(n)} m away`,
  play: 'Footage', playHint: 'Footage from 10 s before', event: 'Event', playOf: (what: string) => `Footage: ${what}`, eventOf: (what: string) => `Event: ${what}`, hit: (what: string) => `Hit: ${what}`,
  keys: { next: 'Next hit', previous: 'Previous hit', play: 'Show the footage', event: 'Show the event', place: 'Go to the place', again: 'Search again' },
};

export type SearchMessages = typeof searchEn;
