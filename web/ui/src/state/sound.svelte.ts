import { Siren, sound } from '../lib/duty/sound';
import type { AlarmView, Level } from '../lib/duty/types';
import { remember, remembered } from './app.svelte';

const MUTED = 'fengsui.alarms.muted';
const CHECK_MS = 500;

/** Sound of new alarms, as the browser lets it: it is silent until somebody has touched the page once. */
class AlarmSound {
  muted = $state(remembered(MUTED) === 'yes');
  /** The browser makes no sound yet: the page was not touched since it was opened. */
  blocked = $state(false);
  /** An alarm sounds again and again. */
  ringing = $state(false);
  private readonly siren = new Siren();
  private context: AudioContext | undefined;
  private opening = 0;
  private news: readonly AlarmView[] = [];

  /** Sounds until the result is called. */
  start(): () => void {
    const touch = (): void => this.unlock();
    addEventListener('pointerdown', touch, true);
    addEventListener('keydown', touch, true);
    const timer = setInterval(() => this.play(this.siren.due(this.news, performance.now())), CHECK_MS);
    this.unlock();
    return () => {
      removeEventListener('pointerdown', touch, true);
      removeEventListener('keydown', touch, true);
      clearInterval(timer);
    };
  }

  /** The alarms that nobody has taken on, as they are now. */
  update(news: readonly AlarmView[]): void {
    this.news = news;
    this.play(this.siren.update(news, performance.now()));
    this.ringing = this.siren.ringing(news);
  }

  /** What sounds now does not any more; the next alarm does. */
  silence(): void {
    this.siren.silence();
    this.ringing = false;
  }

  mute(muted: boolean): void {
    this.muted = muted;
    remember(MUTED, muted ? 'yes' : 'no');
    this.unlock();
  }

  private unlock(): void {
    if (this.muted || typeof AudioContext === 'undefined') {
      this.blocked = false;
      return;
    }
    // Made before the page was touched it would stay silent, and the browser would complain.
    if (navigator.userActivation?.hasBeenActive === false) {
      this.blocked = true;
      return;
    }
    if (this.context) this.resume();
    // To open the sound card takes a browser a tenth of a second: not while somebody types or clicks.
    else this.opening ||= requestIdleCallback(() => this.open());
  }

  private open(): void {
    this.opening = 0;
    try {
      this.context ??= new AudioContext();
      this.resume();
    } catch {
      this.blocked = true;
    }
  }

  private resume(): void {
    if (this.context?.state === 'suspended') void this.context.resume().then(() => this.look());
    this.look();
  }

  private look(): void {
    this.blocked = !this.muted && this.context?.state === 'suspended';
  }

  private play(level: Level | undefined): void {
    if (level === undefined || this.muted || this.context?.state !== 'running') return;
    sound(this.context, level);
  }
}

export const alarmSound = new AlarmSound();
