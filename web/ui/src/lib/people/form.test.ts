import { describe, expect, it } from 'vitest';
import type { Role } from '../api/types';
import { inOrder, isLastAdministrator, nameFault, passwordFault } from './form';
import type { Account } from './types';

const account = (name: string, roles: Role[], disabled = false): Account => ({ name, roles, disabled, by: null, at_us: null });

describe('the form of an account', () => {
  it('takes a name that nobody has, in whatever letter case', () => {
    const known = [account('Li', ['operator'], true)];
    expect(nameFault('王警官', known)).toBeUndefined();
    expect(nameFault(' wang ', known)).toBeUndefined();
    expect(nameFault('li', known)).toBe('nameTaken');
    expect(nameFault('  ', known)).toBe('nameMissing');
    for (const bad of ['x'.repeat(65), 'Console', 'centre:li', '..']) expect(nameFault(bad, known)).toBe('nameShape');
  });

  it('refuses weak passwords before the node does', () => {
    expect(passwordFault('li', 'short')).toBe('short');
    expect(passwordFault('li', '烽'.repeat(129))).toBe('long');
    expect(passwordFault('wangwu', 'my-WANGWU-pw')).toBe('hasName');
    expect(passwordFault('li', 'aaaaaaaaaaaa')).toBe('alike');
    expect(passwordFault('li2', 'correct horse')).toBeUndefined();
  });

  it('knows the last administrator who can log in', () => {
    const all = [account('li', ['administrator']), account('wang', ['administrator'], true), account('zhao', ['operator'])];
    expect(all.map((one) => isLastAdministrator(one, all))).toEqual([true, false, false]);
    const two = [account('li', ['administrator']), account('wang', ['operator', 'administrator'])];
    expect(two.map((one) => isLastAdministrator(one, two))).toEqual([false, false]);
  });

  it('keeps roles in one order', () => {
    expect(inOrder(['operator', 'administrator'])).toEqual(['administrator', 'operator']);
  });
});
