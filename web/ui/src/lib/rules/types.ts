import type { EventKind, Priority } from '../events/types';

/** Shapes of `/api/v1/rules`. */

export interface Hours {
  /** 1 Monday to 7 Sunday; none: every day. */
  days?: number[];
  from_min: number;
  to_min: number;
}

export type Trigger =
  | { when: 'each' }
  | { when: 'threshold'; fact: string; min?: number; max?: number }
  | { when: 'repetition'; times: number; within_s: number; together: boolean }
  | { when: 'absence'; for_s: number; together: boolean }
  | { when: 'lasting'; for_s: number };

export type When = Trigger['when'];

export interface Rule {
  name: string;
  enabled: boolean;
  judged?: 'origin' | 'here';
  kinds?: string[];
  min_priority?: Priority;
  cameras?: string[];
  area?: string[];
  hours?: Hours[];
  trigger: Trigger;
  level: number;
  hold_off_s?: number;
  due_s?: number;
  hold_days?: number;
}

export interface RuleView {
  id: string;
  node: string;
  name: string;
  version: number;
  rule: Rule;
  at_us: number;
  by: string;
  conflicts: number;
  alarms: number;
  false_alarms: number;
  open: number;
}

export interface RuleList {
  items: RuleView[];
  kinds: EventKind[];
  behind: number;
  crowded: number;
  now_us: number;
}

export interface RuleRefusal {
  field: string;
  value: string;
  detail: string;
  remedy: string;
}

export interface RuleWarning {
  code: string;
  field: string;
  detail: string;
  remedy: string;
}

export interface Checked {
  refusals: RuleRefusal[];
  warnings: RuleWarning[];
}

export interface Fired {
  name: string;
  rule: string;
  rule_name: string;
  kind: string;
  level: number;
  camera?: string;
  site?: string;
  cause: string;
  row?: string;
  text?: string;
  first_us: number;
  last_us: number;
  count: number;
}

export interface Tried {
  fired: Fired[];
  alarms: number;
  by_rule: Record<string, number>;
  events: number;
  settled_after_s: number;
  took_ms: number;
}
