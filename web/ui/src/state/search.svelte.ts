import { type SearchMessages, searchEn } from '../lib/i18n/search-en';
import { searchZhCn } from '../lib/i18n/search-zh-cn';
import { keyOf, type SearchAsk, writeAsk } from '../lib/search/ask';
import type { Hit, SearchPage } from '../lib/search/types';
import { api, i18n } from './app.svelte';

const PAGE = 50;

/** Texts of the search screen, in the language chosen. */
export const searchWords = {
  get q(): SearchMessages {
    return i18n.language === 'en' ? searchEn : searchZhCn;
  },
};

/** The hits of one search, page by page. */
export class SearchFeed {
  hits = $state.raw<Hit[]>();
  /** The newest page: what it says of missing nodes is true of all before it as well. */
  page = $state.raw<SearchPage>();
  error = $state.raw<unknown>();
  busy = $state(false);
  loadingMore = $state(false);
  private ask: SearchAsk | undefined;
  private under: AbortController | undefined;

  /** Begins anew; what was under way is given up. */
  async show(ask: SearchAsk | undefined): Promise<void> {
    this.stop();
    this.ask = ask;
    this.hits = undefined;
    this.page = undefined;
    this.error = undefined;
    if (ask === undefined) return;
    await this.again();
  }

  /** Asks the same again; the old hits stay until the new ones come. */
  async again(): Promise<void> {
    const { ask } = this;
    if (ask === undefined) return;
    this.stop();
    const mine = new AbortController();
    this.under = mine;
    this.busy = true;
    try {
      const page = await this.load(ask, undefined, mine.signal);
      if (this.under !== mine) return;
      this.hits = page.items;
      this.page = page;
      this.error = undefined;
    } catch (cause) {
      if (this.under === mine) this.error = cause;
    } finally {
      if (this.under === mine) this.busy = false;
    }
  }

  async more(): Promise<void> {
    const { ask, under } = this;
    const cursor = this.page?.next;
    if (ask === undefined || cursor === null || cursor === undefined || this.loadingMore || this.busy) return;
    this.loadingMore = true;
    try {
      const page = await this.load(ask, cursor, under?.signal);
      if (this.under !== under) return;
      const known = new Set(this.hits?.map(keyOf));
      this.hits = [...(this.hits ?? []), ...page.items.filter((hit) => !known.has(keyOf(hit)))];
      this.page = page;
      this.error = undefined;
    } catch (cause) {
      if (this.under === under) this.error = cause;
    } finally {
      this.loadingMore = false;
    }
  }

  stop(): void {
    this.under?.abort();
    this.under = undefined;
    this.busy = false;
  }

  private load(ask: SearchAsk, cursor: string | undefined, signal: AbortSignal | undefined): Promise<SearchPage> {
    return api.get<SearchPage>(`/search${writeAsk(ask, { limit: PAGE, cursor })}`, signal);
  }
}
