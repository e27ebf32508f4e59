import type { ConfigState } from '../nodes/types';

export const nodeConfigEn = {
  button: 'Configuration', title: (id: string) => `Configuration of ${id}`, back: 'Back to the nodes',
  lead: 'Places and cameras of the node, in the words of its own file. User and password of a camera, volumes, addresses and accounts stay at the node. A version goes there at once or when the link is back, and the node works by its last one when it is alone.',
  text: 'Places and cameras', reason: 'Reason', reasonHint: 'Stands in the journal and beside the version.', reasonFault: 'Write a reason.', save: 'Save and send', saving: 'Saving …', saved: (version: number, id: string) => `Version ${version} of ${id} is saved.`,
  size: (bytes: string, most: string) => `${bytes} of ${most}`, tooLong: 'The text is too long.',
  faults: 'To be put right', line: (n: number) => `Line ${n}`, whole: 'As a whole', toLine: (n: number) => `Go to line ${n}`,
  changes: (than: string) => `Changes against ${than}`, noChanges: 'No changes.', ofVersion: (n: number) => `version ${n}`, ofNode: 'what the node has', removed: 'gone', added: 'new',
  versions: 'Versions', none: 'No version yet: the node goes by its own file. The text is what it has now.', noneUnknown: 'No version yet, and the node cannot be asked what it has. Wait until it is here.',
  load: 'Take into the editor', loadOf: (n: number) => `Take version ${n} into the editor`, fromNode: 'Take what the node has', by: (who: string) => `by ${who}`,
  states: { pending: 'waits for the node', in_force: 'in force', refused: 'refused by the node', released: 'put out of force at the node', replaced: 'replaced', skipped: 'never sent' } as Record<ConfigState, string>,
  refusedHint: 'The node goes on with what it had. Put right what it says and save again.', releasedHint: 'People at the node went back to its own file. Speak with them; a new version takes over again.', pendingHint: 'It is sent as soon as the node can be reached.', why: 'Not there yet:',
  overtaken: (who: string, n: number) => `${who} saved version ${n} meanwhile. What stands here was begun before it.`, goOn: (n: number) => `Go on from version ${n} with this text`,
  problem: { 'conflict text': { what: 'The text is that of the newest version', remedy: 'Change something, or leave it.' }, 'conflict If-Match': { what: 'Somebody else saved a version meanwhile', remedy: 'Look at it below, and write what you want into it.' }, bad_request: { what: 'The text is refused', remedy: 'Put the lines right; nothing was changed.' }, too_large: { what: 'The text is too long', remedy: 'Leave out notes, or spread the cameras over several nodes.' } } as Record<string, { what: string; remedy: string }>,
  inForceHere: (version: number, who: string, when: string) => `Places and cameras are those of the centre: version ${version}, saved there by ${who}, here since ${when}. Those in this node’s own file wait (fengsui node config release).`,
  brief: (version: number, state: string) => `version ${version}, ${state}`, ownFile: 'its own file', leave: 'What was written is not saved. Leave all the same?', leaveAction: 'Leave',
};

export type NodeConfigMessages = typeof nodeConfigEn;
