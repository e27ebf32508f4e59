import type { Right, Role } from '../api/types';
import type { NameFault, PasswordFault } from '../people/form';

/** Texts of the screen of people and of one's own account; they are loaded with them. */
export const peopleEn = {
  title: 'People', lead: 'Every person has an account of their own: what is done is noted under its name. Accounts are disabled, never deleted.', alone: 'There is only this account', aloneHint: 'Make one for each person on duty, so that alarms have owners and the journal has names.',
  columns: { name: 'User name', roles: 'Roles', state: 'State', made: 'Made', actions: 'Actions' },
  role: { administrator: 'Administrator', supervisor: 'Supervisor', operator: 'Operator' } as Record<Role, string>,
  roleMay: { administrator: 'Everything, also accounts, storage, nodes and the journal.', supervisor: 'As an operator; also many alarms at once, in place of others, rules, plans and units.', operator: 'Sees all cameras live and played back, acts on alarms and incidents.' } as Record<Role, string>,
  right: { act: 'act on alarms and incidents', bulk: 'act on many at once and for others', administer: 'administer the server' } as Record<Right, string>,
  you: 'you', good: 'in use', disabled: 'disabled', first: 'at set-up', by: (name: string) => `by ${name}`, count: (n: number, off: number) => `${n.toLocaleString('en')} ${n === 1 ? 'account' : 'accounts'}${off > 0 ? `, ${off.toLocaleString('en')} disabled` : ''}`,
  make: 'New account', refresh: 'Load again', working: 'Working …', name: 'User name', nameHint: 'For logging in, and for the journal. It cannot be changed later.', roles: 'Roles', password: 'Password', passwordHint: '12 to 128 characters, without the user name.', repeat: 'Password again', show: 'Show', made: (name: string) => `The account ${name} is made.`,
  changeRoles: 'Roles', changeRolesOf: (name: string) => `Roles of ${name}`, rolesEffect: 'They are logged out at once and have the new rights when they log in again.', rolesDone: (name: string) => `${name} has other roles.`,
  setPassword: 'Set password', setPasswordOf: (name: string) => `New password for ${name}`, setPasswordEffect: 'They are logged out at once. Hand the password over in person; they can change it in the menu of their account.', setPasswordDone: (name: string) => `${name} has a new password.`,
  disable: 'Disable', disableOf: (name: string) => `Disable ${name}?`, disableEffect: 'They are logged out at once and cannot log in any more. What they did stays in the journal, and the account can be enabled again.', disableDone: (name: string) => `${name} is disabled.`,
  enable: 'Enable', enableOf: (name: string) => `Enable ${name}?`, enableEffect: 'They can log in again with their password and roles as before.', enableDone: (name: string) => `${name} can log in again.`,
  last: 'The last administrator', lastHint: 'The last administrator who can log in cannot be disabled or lose the role. Make another person an administrator first.', ownPassword: 'Your own password is changed in the menu of your account (your name, top right).',
  notYours: 'Only administrators manage people', notYoursHint: 'Your own password is in the menu of your account (your name, top right). For other rights ask an administrator.',
  own: { title: 'Your account', rights: 'You may', noRights: 'You have no role; ask an administrator.', change: 'Change password', old: 'Password until now', lead: 'After a change all your other sessions end.', done: 'Your password is changed. Other sessions have ended.', wrongOld: 'This is not the password until now.' },
  fault: { nameMissing: 'An account needs a user name.', nameShape: 'This cannot be a user name.', nameTaken: 'There is an account of this name. One that is disabled can be enabled again.', roles: 'Choose at least one role.', short: 'The password has less than 12 characters.', long: 'The password has more than 128 characters.', hasName: 'The password contains the user name.', alike: 'The password is one character repeated.', differ: 'The two passwords differ.', same: 'This is the password until now.', oldMissing: 'Type the password until now.' } as Record<NameFault | PasswordFault | 'roles', string>,
  console: 'The same on the console: fengsui account list | create | set-roles | disable | enable | password.',
};

export type PeopleMessages = typeof peopleEn;
