import { unitsEn, type UnitsMessages } from '../lib/i18n/units-en';
import { unitsZhCn } from '../lib/i18n/units-zh-cn';
import { i18n, session } from './app.svelte';
import { fleet } from './fleet.svelte';

/** Texts of the screens of units and plans, in the language chosen. */
export const unitWords = {
  get u(): UnitsMessages {
    return i18n.language === 'en' ? unitsEn : unitsZhCn;
  },
};

/** Whether the person logged in defines units and plans. The node asks as well: this is for what is shown. */
export function mayDefine(): boolean {
  return session.can('bulk');
}

/** The name of a sub-centre, station or site; its code when there is none. */
export function placeName(code: string): string {
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
