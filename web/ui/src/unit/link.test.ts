import { describe, expect, it } from 'vitest';
import { type Order, UnitLink, type View } from './link';

const order = (progress: Order['progress']): Partial<Order> => ({ number: '20261129-001', title: '打架', unit: '一号车', progress });

/** A node that answers from a list; `undefined` is no answer. */
function node(answers: ([number, unknown] | undefined)[], stored?: string) {
  const asked: string[] = [];
  const store = new Map<string, string>(stored === undefined ? [] : [['fengsui.unit-pending', stored]]);
  const seen: View[] = [];
  let forgotten = 0;
  const link = new UnitLink({
    fetch: (async (path: string, init: RequestInit) => {
      asked.push(`${init.method} ${path} ${String(init.body ?? '')}`.trim());
      const next = answers.shift();
      if (!next) throw new TypeError('no line');
      return new Response(JSON.stringify(next[1]), { status: next[0] });
    }) as typeof fetch,
    store: { getItem: (name) => store.get(name) ?? null, setItem: (name, value) => void store.set(name, value), removeItem: (name) => void store.delete(name) },
    forget: () => (forgotten += 1),
    wait: async () => {},
    changed: (view) => seen.push(view),
  });
  return { link, asked, store, seen, forgotten: () => forgotten };
}

describe('the link of a unit', () => {
  it('is opened once and leaves the address', async () => {
    const one = node([undefined, [503, {}], [200, order('sent')]]);
    await one.link.open('secret');
    expect(one.link.view.stage).toBe('order');
    expect(one.asked).toHaveLength(3);
    expect(one.seen.some((view) => view.offline)).toBe(true);
    expect(one.link.view.offline).toBe(false);
    expect(one.forgotten()).toBe(1);
  });
  it('stays in the address while nobody has said yes or no', async () => {
    const one = node([undefined, [429, {}], [503, {}]]);
    let left = 3;
    // The third time nothing has come of it, the page is closed.
    await new Promise<void>((closed) => {
      one.link['parts'].wait = () => (--left > 0 ? Promise.resolve() : new Promise(() => closed()));
      void one.link.open('secret');
    });
    expect(one.asked).toHaveLength(3);
    expect(one.forgotten()).toBe(0);
  });
  it('says what is the matter with it', async () => {
    const cases: [number, unknown, View['stage']][] = [
      [409, { code: 'conflict', detail: 'Another device.', remedy: 'Call li.' }, 'elsewhere'],
      [401, { code: 'token_refused' }, 'refused'],
      [410, { code: 'link_over' }, 'over'],
    ];
    for (const [status, body, stage] of cases) {
      const one = node([[status, body]]);
      await one.link.open('secret');
      expect(one.link.view.stage).toBe(stage);
    }
    const none = node([[401, { code: 'not_logged_in' }]]);
    await none.link.open('');
    expect(none.link.view.stage).toBe('none');
    expect(none.forgotten()).toBe(0);
    const elsewhere = node([[409, { detail: 'Another device.', remedy: 'Call li.' }]]);
    await elsewhere.link.open('secret');
    expect(elsewhere.link.view.detail).toBe('Another device. Call li.');
  });
  it('sends progress until the node has it, and ends with the order', async () => {
    const one = node([[200, order('arrived')], undefined, [500, {}], [200, { ...order('done'), result: '已劝离' }]]);
    await one.link.open('');
    const told = one.link.tell('done', ' 已劝离 ');
    expect(one.link.view.pending).toEqual({ to: 'done', result: '已劝离' });
    await told;
    expect(one.link.view).toMatchObject({ stage: 'over', pending: undefined, offline: false });
    expect(one.store.size).toBe(0);
    expect(one.asked.at(-1)).toBe('POST /api/v1/unit/progress {"to":"done","result":"已劝离"}');
  });
  it('sends what was not sent before the page was loaded anew', async () => {
    const one = node([[200, order('sent')], [200, order('received')]], '{"to":"received","result":""}');
    await one.link.open('');
    expect(one.link.view.order?.progress).toBe('received');
    expect(one.store.size).toBe(0);
  });
  it('looks at the order again when the desk was faster', async () => {
    const one = node([[200, order('sent')], [409, { detail: 'Not possible.' }], [410, { detail: 'The desk has called the unit back.' }]]);
    await one.link.open('');
    await one.link.tell('received', '');
    expect(one.link.view.stage).toBe('over');
    await one.link.look();
    expect(one.asked).toHaveLength(3);
  });
  it('stays as it was when the node does not answer a look', async () => {
    const one = node([[200, order('sent')], undefined]);
    await one.link.open('');
    await one.link.look();
    expect(one.link.view).toMatchObject({ stage: 'order', offline: true });
    expect(await one.link.position(28, 118)).toBe(false);
  });
});
