import type { AlarmView, IncidentRow } from './types';

/** Rows for tests. */
export function alarm(name: string, more: Partial<AlarmView> = {}): AlarmView {
  return {
    id: `alarm/centre/${name}`, node: 'centre', name, state: 'new', level: 3, kind: 'device.input', text: '', rule: 'rule/centre/door', rule_name: 'Door', camera: null, camera_name: null, site: null, site_name: null, count: 1,
    first_us: 0, last_us: 0, raised_us: 0, since_us: 0, owner: null, due_us: null, overdue: false, snoozed_until_us: null, snoozed: false, escalations: 0, outcome: null, was_false: false, acknowledged: null, settled: null, closed: null,
    incident: null, conflicts: 0, row: null, hold_days: 0, ...more,
  };
}

export function incident(name: string, more: Partial<IncidentRow> = {}): IncidentRow {
  return {
    id: `incident/centre/${name}`, node: 'centre', name, number: name, kind: 'fire', title: name, state: 'open', level: 3, place: { address: 'x' }, channel: 'desk', people: [], opened_us: 0, since_us: 0, alarms: 0, cameras: 0,
    dispatches: { open: 0, all: 0 }, steps: { done: 0, skipped: 0, all: 0 }, conflicts: 0, ...more,
  };
}
