import { type StorageMessages, storageEn } from '../lib/i18n/storage-en';
import { storageZhCn } from '../lib/i18n/storage-zh-cn';
import type { ArchiveList, Hold, HoldPage, Integrity, JournalRecord, RegisterEntry, RegisterPage, Retention, VolumeList } from '../lib/storage/types';
import { queryOf } from '../lib/storage/figures';
import { api, i18n } from './app.svelte';
import { fleet } from './fleet.svelte';
import { Pages, Resource } from './resource.svelte';

/** Texts of the storage screen, in the language chosen. */
export const words = {
  get s(): StorageMessages {
    return i18n.language === 'en' ? storageEn : storageZhCn;
  },
};

/** What the lists are narrowed to; kept while the page lives, as the lists are. */
export const wanted = $state({
  holds: 'in_force' as 'in_force' | 'released',
  register: { camera: '', why: '' },
  journal: { kind: '', by: '', from_us: undefined as number | undefined, to_us: undefined as number | undefined },
});

interface JournalPage {
  items: JournalRecord[];
  next: number | null | undefined;
}

/** What is asked for of storage; kept while the page lives, so that coming back shows the last answers at once. */
export const storage = {
  volumes: new Resource<VolumeList>(() => api.get('/volumes')),
  integrity: new Resource<Integrity>(() => api.get('/integrity?limit=100')),
  retention: new Resource<Retention>(() => api.get('/retention')),
  register: new Pages<RegisterEntry, RegisterPage>((cursor) => api.get(`/retention/register${queryOf({ order: 'newest', limit: 50, cursor, ...wanted.register })}`), (one) => one.seq),
  holds: new Pages<Hold, HoldPage>((cursor) => api.get(`/holds${queryOf({ limit: 50, cursor, state: wanted.holds })}`), (one) => one.id),
  archive: new Resource<ArchiveList>(() => api.get('/archive')),
  journal: new Pages<JournalRecord, JournalPage>(async (before) => {
    const answer = await api.get<{ items: JournalRecord[]; next_before?: number | null }>(`/journal${queryOf({ limit: 100, before, ...wanted.journal })}`);
    return { items: answer.items, next: answer.next_before };
  }, (one) => one.seq),
};

export function cameraName(code: string): string {
  return fleet.byCode.get(code)?.name ?? code;
}

/** Name of a camera, site, station or sub-centre. */
export function placeName(code: string): string {
  const camera = fleet.byCode.get(code);
  if (camera) return camera.name;
  for (const centre of fleet.topology?.sub_centres ?? []) {
    if (centre.code === code) return centre.name;
    for (const station of centre.stations) {
      if (station.code === code) return station.name;
      const site = station.sites.find((one) => one.code === code);
      if (site) return site.name;
    }
  }
  return code;
}
