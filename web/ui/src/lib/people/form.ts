import type { Role } from '../api/types';
import type { Account } from './types';

/** Every role, the one with the most rights first. */
export const ROLES: readonly Role[] = ['administrator', 'supervisor', 'operator'];

const NAME_MAX = 64;
const PASSWORD_MIN = 12;
const PASSWORD_MAX = 128;

export type NameFault = 'nameMissing' | 'nameShape' | 'nameTaken';
export type PasswordFault = 'short' | 'long' | 'hasName' | 'alike' | 'differ' | 'same' | 'oldMissing';

/** What is wrong with the name of a new account; the node has the last word. */
export function nameFault(name: string, known: readonly Account[]): NameFault | undefined {
  const trimmed = name.trim();
  if (trimmed === '') return 'nameMissing';
  const small = trimmed.toLowerCase();
  if ([...trimmed].length > NAME_MAX || small === 'console' || small.startsWith('centre:') || /^\.{1,2}$/.test(trimmed)) return 'nameShape';
  return known.some((one) => one.name.toLowerCase() === small) ? 'nameTaken' : undefined;
}

/** What is wrong with a new password of `name`. */
export function passwordFault(name: string, password: string): PasswordFault | undefined {
  const signs = [...password];
  if (signs.length < PASSWORD_MIN) return 'short';
  if (signs.length > PASSWORD_MAX) return 'long';
  if (name.trim() !== '' && password.toLowerCase().includes(name.trim().toLowerCase())) return 'hasName';
  return new Set(signs).size === 1 ? 'alike' : undefined;
}

/** Nobody else administers the node: this account can neither be disabled nor lose the role. */
export function isLastAdministrator(account: Account, all: readonly Account[]): boolean {
  const active = all.filter((one) => !one.disabled && one.roles.includes('administrator'));
  return active.length === 1 && active[0]?.name === account.name;
}

/** Roles in the usual order. */
export function inOrder(roles: readonly Role[]): Role[] {
  return ROLES.filter((role) => roles.includes(role));
}
