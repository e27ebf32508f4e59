import type { Messages } from './i18n/en';

/** How the UI writes times, lengths and sizes. Times in microseconds since 1970 are written in the workstation's zone. */

const two = (n: number): string => String(n).padStart(2, '0');

export function clockTime(us: number): string {
  const d = new Date(us / 1000);
  return `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;
}

export function hourMinute(us: number): string {
  return clockTime(us).slice(0, 5);
}

export function dateOf(us: number): string {
  const d = new Date(us / 1000);
  return `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
}

export function dateTime(us: number): string {
  return `${dateOf(us)} ${clockTime(us)}`;
}

/** With milliseconds, for exact work. */
export function exactTime(us: number): string {
  return `${clockTime(us)}.${String(Math.floor((us / 1000) % 1000)).padStart(3, '0')}`;
}

/** `UTC+8`, `UTC+5:30`. */
export function zoneName(us: number): string {
  const minutes = -new Date(us / 1000).getTimezoneOffset();
  const sign = minutes < 0 ? '−' : '+';
  const rest = Math.abs(minutes) % 60;
  return `UTC${sign}${Math.floor(Math.abs(minutes) / 60)}${rest ? `:${two(rest)}` : ''}`;
}

export function duration(us: number, t: Messages): string {
  const seconds = Math.max(0, Math.round(us / 1e6));
  return t.time.duration(Math.floor(seconds / 86_400), Math.floor(seconds / 3600) % 24, Math.floor(seconds / 60) % 60, seconds % 60);
}

/** Decimal units, as disks are sold. */
export function bytes(n: number): string {
  const units = ['B', 'KB', 'MB', 'GB', 'TB', 'PB'];
  let value = n;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) {
    value /= 1000;
    unit += 1;
  }
  return `${value >= 100 || unit === 0 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function bitRate(perSecond: number): string {
  if (perSecond >= 1e6) return `${(perSecond / 1e6).toFixed(perSecond >= 1e7 ? 0 : 1)} Mbit/s`;
  return `${Math.round(perSecond / 1000)} kbit/s`;
}

/** `1/8×`, `1×`, `16×`. */
export function speed(rate: number): string {
  return rate < 1 ? `1/${Math.round(1 / rate)}×` : `${rate}×`;
}

/** `avc1.64001F` is H.264 to people. */
export function codecName(codec: string | null): string {
  if (codec === null) return '—';
  if (codec.startsWith('avc')) return 'H.264';
  if (codec.startsWith('hev') || codec.startsWith('hvc')) return 'H.265';
  if (codec.startsWith('mjp') || codec === 'jpeg') return 'MJPEG';
  return codec;
}

/** Seconds with one decimal and a sign, for clock offsets. */
export function offset(us: number): string {
  const seconds = us / 1e6;
  const sign = seconds < 0 ? '−' : '+';
  return Math.abs(seconds) < 0.1 ? `${sign}${Math.abs(Math.round(us / 1000))} ms` : `${sign}${Math.abs(seconds).toFixed(1)} s`;
}
