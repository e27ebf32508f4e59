import type { Role } from '../api/types';

/** An account, as the node lists it for administrators. */
export interface Account {
  name: string;
  roles: Role[];
  disabled: boolean;
  /** Who made it; null for the first administrator. */
  by: string | null;
  at_us: number | null;
}
