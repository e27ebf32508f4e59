import type { Camera, Topology } from '../api/types';
import { type Condition, CONDITIONS, condition } from './condition';

/** One visible row of the camera tree. */
export type TreeRow =
  | { kind: 'branch'; id: string; level: number; name: string; open: boolean; count: number; worst: Condition }
  | { kind: 'camera'; id: string; level: number; camera: Camera };

interface Branch {
  id: string;
  name: string;
  branches: Branch[];
  cameras: string[];
}

function branches(topology: Topology): Branch[] {
  return topology.sub_centres.map((centre) => ({
    id: centre.code,
    name: centre.name,
    cameras: [],
    branches: centre.stations.map((station) => ({
      id: station.code,
      name: station.name,
      cameras: [],
      branches: station.sites.map((site) => ({ id: site.code, name: site.name, branches: [], cameras: site.cameras })),
    })),
  }));
}

export interface TreeOptions {
  topology: Topology | undefined;
  byCode: ReadonlyMap<string, Camera>;
  /** Codes that match the search; undefined shows all. */
  matching: ReadonlySet<string> | undefined;
  /** Branches opened by hand; a search opens every branch that holds a match. */
  open: ReadonlySet<string>;
}

/** The rows in sight order. Cameras that stand in no branch come last, so that none is ever hidden. */
export function treeRows(options: TreeOptions): TreeRow[] {
  const { topology, byCode, matching } = options;
  const rows: TreeRow[] = [];
  const seen = new Set<string>();
  for (const branch of topology ? branches(topology) : []) walk(branch, 0, options, rows, seen);
  for (const camera of byCode.values()) {
    if (!seen.has(camera.code) && (!matching || matching.has(camera.code))) rows.push({ kind: 'camera', id: camera.code, level: 0, camera });
  }
  return rows;
}

function walk(branch: Branch, level: number, options: TreeOptions, rows: TreeRow[], seen: Set<string>): { count: number; worst: number } {
  const { byCode, matching } = options;
  const open = matching !== undefined || options.open.has(branch.id);
  const below: TreeRow[] = [];
  let count = 0;
  let worst = CONDITIONS.indexOf('ok');
  for (const child of branch.branches) {
    const told = walk(child, level + 1, options, below, seen);
    count += told.count;
    worst = Math.min(worst, told.worst);
  }
  for (const code of branch.cameras) {
    seen.add(code);
    const camera = byCode.get(code);
    if (!camera || (matching && !matching.has(code))) continue;
    count += 1;
    worst = Math.min(worst, CONDITIONS.indexOf(condition(camera)));
    below.push({ kind: 'camera', id: code, level: level + 1, camera });
  }
  if (count > 0) {
    rows.push({ kind: 'branch', id: branch.id, level, name: branch.name, open, count, worst: CONDITIONS[worst] ?? 'ok' });
    if (open) for (const row of below) rows.push(row);
  }
  return { count, worst };
}
