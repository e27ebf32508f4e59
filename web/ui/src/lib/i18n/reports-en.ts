import type { Fault, RangeName } from '../reports/range';
import type { Grouping, HandOver } from '../reports/types';

const number = (n: number): string => n.toLocaleString('en');

/** Texts of reports and of the change of shifts; they are loaded with their screens. */
export const reportsEn = {
  title: 'Reports', lead: 'How long alarms and incidents took, how many were closed, overdue or false. Times are medians and 95th percentiles; n says of how many.',
  range: 'Range', ranges: { today: 'Today', week: '7 days', month: 'This month', own: 'Own range' } as Record<RangeName, string>,
  from: 'First day', to: 'Last day', by: 'Rows',
  groupings: { area: 'by sub-centre', station: 'by station', site: 'by site', day: 'by day', rule: 'by rule', camera: 'by camera', node: 'by node' } as Record<Grouping, string>,
  keyOf: { area: 'Sub-centre', station: 'Station', site: 'Site', day: 'Day', rule: 'Rule', camera: 'Camera', node: 'Node' } as Record<Grouping, string>,
  faults: { from: 'Choose the first day.', to: 'Choose the last day.', order: 'The last day lies before the first.', long: 'At most 400 days. Choose a shorter range.' } as Record<Fault, string>,
  refresh: 'Make anew', csv: 'CSV', csvHint: 'for spreadsheets', print: 'Print',
  none: 'Nothing in this range', noneHint: 'No alarm was raised and no incident opened. Choose another range.',
  noRows: 'Nothing to group: no alarm in this range.', unnamed: 'none', total: 'All together',
  made: (at: string, by: string, node: string) => `Made ${at} by ${by} at ${node}`, span: (from: string, to: string) => `${from} to ${to}`,
  part: (since: string) => `Whole from ${since} on. What is older is in the journal alone:`,
  alarmsTitle: 'Alarms', incidentsTitle: 'Incidents', incidentsNotHere: 'Incidents have no one rule or camera; they stand in the totals alone.',
  alarms: 'Alarms', acknowledge: 'To acknowledge', settle: 'To settle', close: 'To close', disposed: 'Closed', overdue: 'Overdue', foundFalse: 'False', escalations: 'Escalated',
  incidents: 'Incidents', arrive: 'To arrive', incidentClose: 'To close', incidentsDisposed: 'Closed', cancelled: 'Cancelled', dispatches: 'Units sent', skipped: 'Steps skipped',
  hints: {
    acknowledge: 'from raised to acknowledged', close: 'from raised to closed', arrive: 'from opened to the first unit there', incidentClose: 'from opened to closed',
    disposed: 'closed of all', overdue: 'not acknowledged in time, of those with a due time', foundFalse: 'found false, of those judged', skipped: 'steps of plans skipped with a reason',
  },
  median: 'median', p95: 'p95', n: (n: number) => `n ${number(n)}`, of: (part: number, of: number) => `${number(part)} of ${number(of)}`,
  shift: {
    title: 'Shift', none: 'Nothing was handed over yet', noneHint: 'The first hand-over stands here with its note.', from: (from: string, to: string) => `${from} to ${to}`,
    handOver: 'Hand over', handOverAsk: 'Hand the shift over', to: 'Who comes', toHint: 'choose an account', note: 'Note', noteHint: 'What the next shift has to know', openNow: 'Open now', openThen: 'Open then',
    takeOver: 'Take over', takeOverAsk: (from: string) => `Take the shift over from ${from}`, words: 'Words (optional)', taken: (by: string, at: string) => `Taken over by ${by}, ${at}`, waiting: (to: string) => `Waits for ${to}`,
    handed: (to: string) => `Handed over to ${to}`, took: 'You have the shift', working: 'Working …', nobody: 'No other account may act here.', noNote: 'Write a note; “nothing in particular” is one.', noTo: 'Choose who comes.',
    signed: 'Note and numbers are signed with the key of this server and stay in its journal.',
    signature: { good: 'Signature good', other_key: 'Signed with another key', bad: 'Signature does not hold: the note was changed' } as Record<HandOver['signature'], string>,
    open: { new: 'new alarms', acknowledged: 'acknowledged', in_progress: 'in progress', incidents: 'incidents', units: 'units under way' } as Record<string, string>,
  },
};

export type ReportsMessages = typeof reportsEn;
