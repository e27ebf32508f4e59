import { type StorageMessages, storageEn } from '../lib/i18n/storage-en';
import { storageZhCn } from '../lib/i18n/storage-zh-cn';
import type { Integrity, VolumeList } from '../lib/storage/types';
import { api, i18n } from './app.svelte';
import { fleet } from './fleet.svelte';
import { Resource } from './resource.svelte';

/** Texts of the storage screen, in the language chosen. */
export const words = {
  get s(): StorageMessages {
    return i18n.language === 'en' ? storageEn : storageZhCn;
  },
};

/** What is asked for of storage; kept while the page lives, so that coming back shows the last answers at once. */
export const storage = {
  volumes: new Resource<VolumeList>(() => api.get('/volumes')),
  integrity: new Resource<Integrity>(() => api.get('/integrity?limit=100')),
};

export function cameraName(code: string): string {
  return fleet.byCode.get(code)?.name ?? code;
}
