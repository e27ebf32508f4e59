import type { Camera } from '../api/types';
import { initials, otherInitials } from './pinyin';

/** What a search field finds a camera by. Built once per camera, since a filter runs at every key. */
export interface SearchEntry {
  code: string;
  text: string;
}

export function searchEntry(camera: Camera): SearchEntry {
  const names = [camera.name, camera.site_name, camera.station_name, camera.sub_centre_name];
  const short = names.flatMap((name) => [initials(name), otherInitials(name)]);
  const parts = new Set([...names.map((name) => name.toLowerCase()), camera.code, camera.host.toLowerCase(), ...short]);
  return { code: camera.code, text: [...parts].join('\n') };
}

/** Codes of the entries that hold every word of `query`; undefined when the query is empty. */
export function search(entries: readonly SearchEntry[], query: string): Set<string> | undefined {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  if (words.length === 0) return undefined;
  const found = new Set<string>();
  for (const entry of entries) if (words.every((word) => entry.text.includes(word))) found.add(entry.code);
  return found;
}
