import { nodeConfigEn, type NodeConfigMessages } from '../lib/i18n/node-config-en';
import { nodeConfigZhCn } from '../lib/i18n/node-config-zh-cn';
import { nodesEn, type NodesMessages } from '../lib/i18n/nodes-en';
import { nodesZhCn } from '../lib/i18n/nodes-zh-cn';
import { Problem } from '../lib/api/client';
import { explain, i18n } from './app.svelte';
import { fleet } from './fleet.svelte';

/** Texts of the screen of nodes, in the language chosen. */
export const nodeWords = {
  get n(): NodesMessages {
    return i18n.language === 'en' ? nodesEn : nodesZhCn;
  },
};

/** Texts of the page of a node's configuration. */
export const configWords = {
  get c(): NodeConfigMessages {
    return i18n.language === 'en' ? nodeConfigEn : nodeConfigZhCn;
  },
};

/** As `explain`, with this screen's own words for what is not possible with a node. */
export function explainNode(cause: unknown): ReturnType<typeof explain> {
  const told = explain(cause);
  const own = cause instanceof Problem ? nodeWords.n.problem[cause.code] : undefined;
  if (own === undefined) return told;
  // What is the matter with this node, only the server's own sentence says.
  if (i18n.language === 'en') return { ...told, what: own.what, remedy: told.remedy || own.remedy };
  return { ...told, what: own.what, remedy: told.detail ? `${own.remedy}（${told.detail}）` : own.remedy };
}

/** The cameras that a code stands for: itself, or all of a site, station or sub-centre. */
export function camerasOf(code: string): readonly string[] {
  for (const centre of fleet.topology?.sub_centres ?? []) {
    if (centre.code === code) return centre.stations.flatMap((station) => station.sites.flatMap((site) => site.cameras));
    for (const station of centre.stations) {
      if (station.code === code) return station.sites.flatMap((site) => site.cameras);
      const site = station.sites.find((one) => one.code === code);
      if (site) return site.cameras;
    }
  }
  return [code];
}
