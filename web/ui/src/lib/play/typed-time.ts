/**
 * Reads a time as an operator types it. All in the workstation's time zone, relative to `now` and, for a bare time of day, to the
 * day of `around` (the day on the timeline).
 *
 * `1430` `143005` `14:30` `14:30:05` `9:05` | `2026-11-23 14:30` `11-23 14:30` `11/23 1430` `20261123 1430` | `-90` `-90s` `-10m` `-2h` `+30d` | `now` `现在`
 * | `昨天 14:30` `yesterday 1430` `今天 …` `today …`
 *
 * Full-width digits and colons are read as plain ones. A bare time of day that lies in the future means the day before.
 */
export function parseTypedTime(text: string, nowMs: number, aroundMs: number = nowMs): number | undefined {
  const plain = halfWidth(text).trim().toLowerCase();
  if (plain === '') return undefined;
  if (plain === 'now' || plain === '现在') return nowMs;

  const apart = /^([-+])\s*(\d{1,6})\s*(s|秒|m|min|分|分钟|h|时|小时|d|天)?$/.exec(plain);
  if (apart) return nowMs + (apart[1] === '-' ? -1 : 1) * Number(apart[2]) * unitMs(apart[3]);

  const named = /^(今天|today|昨天|yesterday|前天)\s*(.*)$/.exec(plain);
  if (named) {
    const days = named[1] === '前天' ? 2 : named[1] === '昨天' || named[1] === 'yesterday' ? 1 : 0;
    const time = timeOfDay(named[2] || '0:00');
    return time && at(new Date(nowMs), time, -days);
  }

  const dated = /^(?:(\d{4})[-/.年]?)?(\d{1,2})(?:[-/.月])(\d{1,2})日?(?:[\st]+(.+))?$/.exec(plain) ?? /^(\d{4})(\d{2})(\d{2})(?:[\st]+(.+))?$/.exec(plain);
  if (dated) return fromDate(dated, nowMs);

  const time = timeOfDay(plain);
  if (!time) return undefined;
  const same = at(new Date(aroundMs), time, 0);
  return same !== undefined && same > nowMs ? at(new Date(aroundMs), time, -1) : same;
}

function fromDate(parts: RegExpExecArray, nowMs: number): number | undefined {
  const time = timeOfDay(parts[4] ?? '0:00');
  if (!time) return undefined;
  const now = new Date(nowMs);
  const year = parts[1] === undefined ? now.getFullYear() : Number(parts[1]);
  const month = Number(parts[2]);
  const day = Number(parts[3]);
  const found = new Date(year, month - 1, day, ...time);
  if (found.getMonth() !== month - 1 || found.getDate() !== day) return undefined;
  // `12-31 23:00` typed on the first of January means last year.
  if (parts[1] === undefined && found.getTime() > nowMs) found.setFullYear(year - 1);
  return found.getTime();
}

type HourMinuteSecond = [number, number, number];

function timeOfDay(text: string): HourMinuteSecond | undefined {
  const parts = /^(\d{1,2}):(\d{1,2})(?::(\d{1,2}))?$/.exec(text) ?? /^(\d{1,2})(\d{2})(\d{2})?$/.exec(text.length === 5 ? `0${text}` : text);
  const chinese = /^(\d{1,2})[点时](?:(\d{1,2})分?)?(?:(\d{1,2})秒?)?$/.exec(text);
  const found = parts ?? chinese;
  if (!found) return undefined;
  const [hour, minute, second] = [Number(found[1]), Number(found[2] ?? 0), Number(found[3] ?? 0)];
  return hour < 24 && minute < 60 && second < 60 ? [hour, minute, second] : undefined;
}

function at(day: Date, [hour, minute, second]: HourMinuteSecond, days: number): number {
  return new Date(day.getFullYear(), day.getMonth(), day.getDate() + days, hour, minute, second).getTime();
}

function unitMs(unit: string | undefined): number {
  if (unit === 'm' || unit === 'min' || unit === '分' || unit === '分钟') return 60_000;
  if (unit === 'h' || unit === '时' || unit === '小时') return 3_600_000;
  if (unit === 'd' || unit === '天') return 86_400_000;
  return 1_000;
}

function halfWidth(text: string): string {
  return text.replace(/[\uFF01-\uFF5E]/g, (c) => String.fromCharCode(c.charCodeAt(0) - 0xfe_e0)).replace(/\u3000/g, ' ');
}
