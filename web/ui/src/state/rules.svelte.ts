import type { EventKind } from '../lib/events/types';
import { duration } from '../lib/format';
import { rulesEn, type RulesMessages } from '../lib/i18n/rules-en';
import { rulesZhCn } from '../lib/i18n/rules-zh-cn';
import type { Rule } from '../lib/rules/types';
import { i18n } from './app.svelte';
import { eventWords } from './events.svelte';

/** Texts of the screen of rules, in the language chosen. */
export const ruleWords = {
  get r(): RulesMessages {
    return i18n.language === 'en' ? rulesEn : rulesZhCn;
  },
};

/** A kind of events, in words; one that this page does not know, as it is. */
export function kindName(kind: string): string {
  return kind === 'absence' ? ruleWords.r.trial.absence : (eventWords.e.kinds[kind as EventKind] ?? kind);
}

/** When a rule makes an alarm, in a few words. */
export function triggerWords(rule: Rule): string {
  const { says } = ruleWords.r;
  const { trigger } = rule;
  const time = (s: number): string => duration(s * 1e6, i18n.t);
  switch (trigger.when) {
    case 'each':
      return says.each;
    case 'threshold':
      return says.threshold(trigger.fact, trigger.min === undefined ? '' : String(trigger.min), trigger.max === undefined ? '' : String(trigger.max));
    case 'repetition':
      return says.repetition(trigger.times, time(trigger.within_s), trigger.together);
    case 'absence':
      return says.absence(time(trigger.for_s), trigger.together);
    case 'lasting':
      return says.lasting(time(trigger.for_s));
  }
}

/** Where it looks, in a few words. */
export function whereWords(rule: Rule): string {
  const { r } = ruleWords;
  const [cameras, places] = [rule.cameras?.length ?? 0, rule.area?.length ?? 0];
  if (cameras + places === 0) return r.everywhere;
  return [cameras > 0 ? r.cameras(cameras) : '', places > 0 ? r.places(places) : ''].filter(Boolean).join(' · ');
}
