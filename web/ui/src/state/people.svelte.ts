import { peopleEn, type PeopleMessages } from '../lib/i18n/people-en';
import { peopleZhCn } from '../lib/i18n/people-zh-cn';
import { i18n } from './app.svelte';

/** Texts of the screen of people and of one's own account, in the language chosen. */
export const peopleWords = {
  get p(): PeopleMessages {
    return i18n.language === 'en' ? peopleEn : peopleZhCn;
  },
};
