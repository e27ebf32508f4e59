/** Units, plans and checkpoint plans as the node tells them. */
export const NETS = ['street', 'community', 'internal', 'checkpoint'] as const;
export type Net = (typeof NETS)[number];

export interface Hours {
  /** 1 Monday to 7 Sunday; none: every day. */
  days?: number[];
  from_min: number;
  /** Not above `from_min`: on the next day. */
  to_min: number;
}

export interface DefinitionHead {
  id: string;
  node: string;
  slug: string;
  version: number;
  at_us: number;
  by: string;
  conflicts: number;
}

export interface UnitBody {
  name: string;
  net: Net;
  members: string[];
  contact: string;
  area?: string[];
  duty?: Hours[];
  post?: [number, number] | null;
}

export type Progress = 'sent' | 'received' | 'arrived' | 'done' | 'declined' | 'recalled';

export interface UnderWay {
  incident: string;
  number: string;
  title: string;
  dispatch: string;
  progress: Progress;
}

export interface Unit extends DefinitionHead {
  body: UnitBody;
  on_duty: boolean;
  /** When that changes; none: never. */
  until_us: number | null;
  busy: UnderWay[];
  position: { lat: number; lon: number; at_us: number; fresh: boolean } | null;
}

export interface UnitList {
  items: Unit[];
  at_us: number;
  now_us: number;
  offset_min: number;
}

export interface DutyRow {
  unit: string;
  name: string;
  net: Net;
  contact: string;
  members: string[];
  on_duty: boolean;
  spans: [number, number][];
}

export interface DutyList {
  at_us: number;
  from_us: number;
  to_us: number;
  items: DutyRow[];
  off: number;
}

export interface PlanStep {
  id: string;
  text: string;
  answers?: Record<string, string>;
}

export interface PlanBody {
  name: string;
  kinds?: string[];
  steps: PlanStep[];
}

export interface Plan extends DefinitionHead {
  body: PlanBody;
}

export interface Met {
  kind: 'checkpoint' | 'camera';
  id: string;
  name: string;
  site_name: string;
  contact: string;
  on_duty: boolean;
  busy: boolean;
  lat: number | null;
  lon: number | null;
  nearness: 'ahead' | 'same_site' | 'same_station' | 'same_sub_centre';
  along_m: number | null;
  across_m: number | null;
  minutes: number | null;
}

export interface CheckpointPlan {
  lat: number | null;
  lon: number | null;
  bearing: number;
  reach_m: number;
  speed_kmh: number;
  items: Met[];
  more: number;
}

/** The path of a definition below the API's base. */
export function pathOf(id: string): string {
  const [kind, ...rest] = id.split('/');
  return `/${kind}s/${rest.map(encodeURIComponent).join('/')}`;
}
