/**
 * The one registry of keys: every shortcut of every screen is registered here, shown in the help, offered in the palette, and tested
 * for conflicts. A combination is written `Ctrl+K`, `Shift+ArrowLeft`, `]`, `?`; letters match whatever the keyboard's shift state.
 */
export interface KeyAction {
  /** Stable name, for example `play.toggle`. */
  id: string;
  combos: string[];
  /** Message to show; a function, so that it follows the language. */
  label: () => string;
  /** Heading in the help. */
  group: () => string;
  run: (event: KeyboardEvent | undefined) => void;
  /** False hides and disables it for now. */
  enabled?: () => boolean;
  /** Works while the user types in a field. */
  inFields?: boolean;
  /**
   * Works only while the focus is within the part of the page with this `data-keys`, and goes before the keys of the screen there:
   * what lies over every screen cannot know which keys each of them has.
   */
  area?: string;
}

export class KeyConflict extends Error {}

export interface KeyEventLike {
  key: string;
  ctrlKey: boolean;
  altKey: boolean;
  shiftKey: boolean;
  metaKey: boolean;
}

/** The combination of an event in the registry's writing. */
export function comboOf(event: KeyEventLike): string {
  const key = event.key === ' ' ? 'Space' : event.key.length === 1 ? event.key.toUpperCase() : event.key;
  const parts: string[] = [];
  if (event.ctrlKey || event.metaKey) parts.push('Ctrl');
  if (event.altKey) parts.push('Alt');
  // Shift is part of the sign itself for `?` and `[`; it is told only for letters and named keys.
  if (event.shiftKey && (key.length > 1 || /^[A-Z]$/.test(key))) parts.push('Shift');
  parts.push(key);
  return parts.join('+');
}

export class Keys {
  private readonly actions = new Map<string, KeyAction>();
  private readonly changed = new Set<() => void>();

  /** Adds actions; the result takes them out again. Throws `KeyConflict` when a combination is taken. */
  register(...added: KeyAction[]): () => void {
    for (const action of added) {
      if (this.actions.has(action.id)) throw new KeyConflict(`the action ${action.id} is registered twice`);
      for (const other of this.actions.values()) {
        if (other.area !== action.area) continue;
        const clash = action.combos.find((combo) => other.combos.includes(combo));
        if (clash !== undefined) throw new KeyConflict(`${clash} belongs to ${other.id}; ${action.id} cannot have it`);
      }
      this.actions.set(action.id, action);
    }
    this.tell();
    return () => {
      for (const action of added) if (this.actions.get(action.id) === action) this.actions.delete(action.id);
      this.tell();
    };
  }

  /** All actions that can run now, in order of registration. */
  list(): KeyAction[] {
    return [...this.actions.values()].filter((action) => action.enabled?.() !== false);
  }

  /** Runs what `event` stands for, with the focus in `area` of the page; true when something ran. */
  handle(event: KeyboardEvent, inField: boolean, area?: string): boolean {
    const combo = comboOf(event);
    for (const where of area === undefined ? [undefined] : [area, undefined]) {
      for (const action of this.actions.values()) {
        if (action.area !== where || !action.combos.includes(combo) || (inField && !action.inFields) || action.enabled?.() === false) continue;
        event.preventDefault();
        action.run(event);
        return true;
      }
    }
    return false;
  }

  onChange(run: () => void): () => void {
    this.changed.add(run);
    return () => this.changed.delete(run);
  }

  private tell(): void {
    for (const run of this.changed) run();
  }
}
