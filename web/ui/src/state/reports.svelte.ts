import { reportsEn, type ReportsMessages } from '../lib/i18n/reports-en';
import { reportsZhCn } from '../lib/i18n/reports-zh-cn';
import { i18n } from './app.svelte';

/** Texts of reports and shifts, in the language chosen. */
export const reportWords = {
  get r(): ReportsMessages {
    return i18n.language === 'en' ? reportsEn : reportsZhCn;
  },
};
