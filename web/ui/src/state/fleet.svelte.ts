import type { Camera, SystemState, Topology } from '../lib/api/types';
import type { NodesView } from '../lib/nodes/types';
import { type SearchEntry, searchEntry } from '../lib/cameras/search';
import { api, clock, session } from './app.svelte';

/** Changes are shown together this often: 1,400 cameras returning at once must not redraw 1,400 times. */
const APPLY_MS = 250;
/** Without an event for this long the link counts as lost; the node sends `system` every 5 s. */
const SILENCE_MS = 16_000;

/** All cameras and the node's state, kept current by the event stream. */
class Fleet {
  cameras = $state.raw<Camera[]>([]);
  byCode = $state.raw<ReadonlyMap<string, Camera>>(new Map());
  topology = $state.raw<Topology>();
  system = $state.raw<SystemState>();
  /** This node, its centre and the nodes below it; undefined until it is known. */
  nodes = $state.raw<NodesView>();
  nodesError = $state.raw<unknown>();
  loaded = $state(false);
  progress = $state<{ have: number; total: number }>();
  error = $state.raw<unknown>();
  /** The event stream delivers. */
  linked = $state(true);
  /** Node clock less workstation clock in milliseconds. */
  offsetMs = $state(0);
  /** Whoever wants to hear events (the data of one), and that some may be missing (undefined). */
  readonly hearers = new Set<(event: string | undefined) => void>();
  /** Whoever wants to hear one name of the event stream, by that name. */
  private readonly named = new Map<string, Set<(data: string | undefined) => void>>();
  private entries: SearchEntry[] = [];
  private entriesOf: Camera[] = [];
  private events: EventSource | undefined;
  private pending = new Map<string, Camera>();
  private applyTimer: ReturnType<typeof setTimeout> | undefined;
  private watchTimer: ReturnType<typeof setInterval> | undefined;
  private lastEventMs = 0;
  private loading = false;
  private nodesTold = 0;

  /**
   * Hears one name of the event stream: the data of each, and undefined when some may be missing. The result ends it. For what the
   * fleet itself knows nothing of: `alarm`, `incident`, `definition`, `duty`.
   */
  on(name: string, hear: (data: string | undefined) => void): () => void {
    const known = this.named.get(name);
    const all = known ?? new Set();
    all.add(hear);
    if (!known) {
      this.named.set(name, all);
      if (this.events) this.listenTo(this.events, name, all);
    }
    return () => all.delete(hear);
  }

  private listenTo(events: EventSource, name: string, all: ReadonlySet<(data: string | undefined) => void>): void {
    events.addEventListener(name, (event) => {
      this.lastEventMs = performance.now();
      this.linked = true;
      for (const hear of all) hear((event as MessageEvent<string>).data);
    });
  }

  start(): void {
    if (this.watchTimer !== undefined) return;
    this.lastEventMs = performance.now();
    this.watchTimer = setInterval(() => this.watch(), 2_000);
    void this.reload();
    this.listen();
  }

  stop(): void {
    clearInterval(this.watchTimer);
    this.watchTimer = undefined;
    this.events?.close();
    this.events = undefined;
  }

  async reload(): Promise<void> {
    if (this.loading) return;
    this.loading = true;
    try {
      const started = clock.start();
      const system = await api.system();
      this.onSystem(system, started);
      const [topology, cameras] = await Promise.all([
        api.topology(),
        api.cameras((have, total) => {
          this.progress = { have, total };
        }),
      ]);
      this.topology = topology;
      this.put(cameras);
      this.loaded = true;
      this.error = undefined;
      for (const hear of this.hearers) hear(undefined);
      for (const all of this.named.values()) for (const hear of all) hear(undefined);
      void this.loadNodes();
    } catch (cause) {
      this.error = cause;
    } finally {
      this.loading = false;
      this.apply();
    }
  }

  /** Other things do not wait for it: it may be of a server without nodes. */
  async loadNodes(): Promise<void> {
    const told = this.nodesTold;
    try {
      const nodes = await api.get<NodesView>('/nodes');
      // What was told of meanwhile is newer.
      if (told === this.nodesTold) this.nodes = nodes;
      this.nodesError = undefined;
    } catch (cause) {
      this.nodesError = cause;
    }
  }

  /** Search entries, in the order of `cameras`; made when first needed and when names change. */
  searchEntries(): SearchEntry[] {
    if (this.entriesOf !== this.cameras) {
      const names = (one: Camera): string => `${one.name}${one.host}${one.site_name}${one.station_name}${one.sub_centre_name}`;
      const before = new Map(this.entriesOf.map((camera, i) => [camera.code, { camera, entry: this.entries[i] }]));
      this.entries = this.cameras.map((camera) => {
        const old = before.get(camera.code);
        return old?.entry && names(old.camera) === names(camera) ? old.entry : searchEntry(camera);
      });
      this.entriesOf = this.cameras;
    }
    return this.entries;
  }

  private listen(): void {
    this.events?.close();
    const events = new EventSource(`${api.base}/events`);
    this.events = events;
    const heard = (): void => {
      this.lastEventMs = performance.now();
      this.linked = true;
    };
    events.onopen = heard;
    events.addEventListener('camera', (event) => {
      heard();
      const camera = JSON.parse(event.data as string) as Camera;
      this.pending.set(camera.code, camera);
      this.applyTimer ??= setTimeout(() => this.apply(), APPLY_MS);
    });
    events.addEventListener('event', (event) => {
      heard();
      for (const hear of this.hearers) hear(event.data as string);
    });
    events.addEventListener('nodes', (event) => {
      heard();
      this.nodesTold += 1;
      this.nodes = JSON.parse(event.data as string) as NodesView;
      this.nodesError = undefined;
    });
    events.addEventListener('system', (event) => {
      heard();
      this.onSystem(JSON.parse(event.data as string) as SystemState, undefined);
    });
    events.addEventListener('resync', () => {
      heard();
      void this.reload();
    });
    for (const [name, all] of this.named) this.listenTo(events, name, all);
    events.onerror = () => {
      this.linked = false;
      // The browser tries again by itself unless it was refused; then find out why.
      if (events.readyState === EventSource.CLOSED) void session.check();
    };
  }

  private watch(): void {
    const silent = performance.now() - this.lastEventMs > SILENCE_MS;
    if (silent) this.linked = false;
    if (this.events?.readyState === EventSource.CLOSED || (silent && this.events?.readyState === EventSource.OPEN)) {
      this.lastEventMs = performance.now();
      this.listen();
      void this.reload();
    } else if (!this.loaded && this.error !== undefined) {
      void this.reload();
    }
  }

  private onSystem(system: SystemState, startedMs: number | undefined): void {
    this.system = system;
    // A pushed time has no round trip to bound its error, so it only counts until a request has been timed.
    if (startedMs !== undefined) clock.observe(system.now_us, startedMs);
    else if (!clock.known) clock.observe(system.now_us, clock.start());
    this.offsetMs = clock.offsetMs;
  }

  /** What came while all cameras were being loaded may be newer than they are: it waits for them. */
  private apply(): void {
    this.applyTimer = undefined;
    if (this.loading || !this.loaded || this.pending.size === 0) return;
    const { pending } = this;
    this.pending = new Map();
    const fresh = this.cameras.map((camera) => {
      const changed = pending.get(camera.code);
      if (changed) pending.delete(camera.code);
      return changed ?? camera;
    });
    this.put([...fresh, ...pending.values()]);
  }

  private put(cameras: Camera[]): void {
    this.cameras = cameras;
    this.byCode = new Map(cameras.map((camera) => [camera.code, camera]));
  }
}

export const fleet = new Fleet();
