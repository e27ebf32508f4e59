import type { NodeState } from '../nodes/types';
import type { InviteFault, Standing, UplinkCase } from '../nodes/view';

const plural = (n: number, one: string, many = `${one}s`): string => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;

interface Said {
  what: string;
  remedy: string;
}

export const nodesEn = {
  title: 'Nodes and links',
  roles: { alone: 'This node is alone', sub_centre: 'This node is a sub-centre', county: 'This node is a county: it has a centre above and nodes below', centre: 'This node is a centre' },
  lead: 'Each sub-centre records and works alone. What happens there comes here once and in order, also when the link was down.',
  refresh: 'Load again', notStarted: 'The link between nodes could not start. This node goes on alone: correct the cause and start it anew.',
  alone: {
    title: 'This node is alone', lead: 'It records, shows and keeps everything by itself and needs no other. A centre joins several nodes: their events come together there, and one table shows who is there.',
    centre: 'To make this node a centre',
    centreSteps: ['Write this into fengsui.toml, with the names by which the other nodes reach this machine:', 'Start the node anew. It writes the settings of the message server into its data folder.', 'Run the message server there, as the same user:', 'Open this screen again and invite the nodes, each with a token.'],
    sub: 'To put this node under a centre',
    subSteps: ['Have the centre’s administrator invite this node there: the centre shows a token once.', 'At this node, run this, and give it the token when it asks:', 'Write the centre into fengsui.toml:', 'Start the node anew. This screen then shows the link.'],
    docs: 'More: LINK.md and OPERATE.md in web/relay.',
  },
  uplink: {
    title: 'Link to the centre', state: 'Link', why: 'Reason', standing: 'Sender', backlog: 'Waiting for the centre', confirmed: 'Last confirmation', never: 'none since the start', published: 'Sent and confirmed since the start', passed: 'Passed over',
    passedHint: 'So many records of low or normal priority were never sent, because too many waited. They are in this node’s journal, and the centre knows how many.', passedNone: 'none',
    priority: 'Priority', records: 'Records', bytes: 'Size', total: 'Together',
    links: { connecting: 'connecting', up: 'connected', down: 'broken', closed: 'ended' }, standings: { down: 'waits for the link', asking: 'asks the centre where to go on', walking: 'sends in the order of the journal', ahead: 'stopped: the centre knows a later life of this node' },
    cases: {
      level: { what: 'The centre has everything.', remedy: 'Nothing is to be done.' },
      catching_up: { what: 'What waited is being sent.', remedy: 'Nothing is to be done; alarms go ahead of the rest.' },
      asking: { what: 'The centre is asked where to go on.', remedy: 'Nothing is to be done, unless this stays for minutes: then see whether the centre runs.' },
      connecting: { what: 'The link is being made.', remedy: 'Nothing is to be done: it is tried without end. Recording does not depend on it.' },
      down: { what: 'The link to the centre is down. This node records on; what happens is kept and sent later.', remedy: 'Check the network to the centre and whether its message server runs. It is tried again by itself.' },
      refused: { what: 'The centre’s message server refuses this node.', remedy: 'Ask the centre’s administrator whether the node was retired. If so, have it invited again and run fengsui node enrol here.' },
      closed: { what: 'The link has ended.', remedy: 'The node is stopping, or its link failed for good: look at its log, then start it anew.' },
      ahead: { what: 'The centre knows a later life of this node, so nothing is sent from here.', remedy: 'Does a second machine run under the same name, or was this one restored from an old copy? Stop the other; else restore with fengsui restore, which goes on behind it.' },
      stuck: { what: 'The link stands, but the centre has confirmed nothing for a minute.', remedy: 'Look at the centre: is its disk full, is its program running? What waits here is safe.' },
    } as Record<UplinkCase, Said>,
  },
  down: {
    title: 'Message server', stream: 'Waiting in the stream', streamed: (records: string, size: string) => `${records} records, ${size}`, applied: 'Taken in since the start', duplicates: 'Doubles dropped', previews: 'Alarms ahead of their records', quarantined: 'In quarantine', none: 'none',
    cases: {
      up: { what: 'Connected.', remedy: '' }, connecting: { what: 'Being connected.', remedy: 'Nothing is to be done, unless this stays: then see whether the message server runs.' },
      down: { what: 'The message server does not answer. Nodes record on and send later.', remedy: 'Start it as the user of this node: nats-server -c server.conf in the folder relay of the data. It is tried again by itself.' },
      closed: { what: 'The connection has ended.', remedy: 'Look at this node’s log, then start it anew.' },
    },
    reasons: {
      future: 'from the future: check the node’s clock', before_time: 'from before 2000: check the node’s clock', unknown_kind: 'of a kind that this centre does not know: update it', unknown_version: 'of a newer version: update the centre before its nodes',
      oversized: 'too large', malformed: 'not readable', foreign_camera: 'about a camera that is not assigned to the node', wrong_origin: 'of a node for which the sender may not speak', broken_chain: 'chain broken: something is missing or was changed',
    } as Record<string, string>,
  },
  columns: { node: 'Node', presence: 'Presence', cameras: 'Cameras online / recording of all', heard: 'Last word', backlog: 'Waiting there', place: 'Last record taken in', quarantined: 'Quarantined', state: 'State' },
  standings: { here: 'here', late: 'late', gone: 'gone', silent: 'never heard', invited: 'invited', expired: 'invitation expired', retired: 'retired' } as Record<Standing, string>,
  remedies: {
    here: 'The node speaks as it should.', late: 'The last word is older than it should be. Wait a moment; if it stays, the line is slow or lossy.', gone: 'Nothing is heard. Check the line and the power there; the node records on if it only lacks the line.', silent: 'It is enrolled, but has never spoken. Start it with [relay] in its configuration, and check that it reaches the message server.',
    invited: 'It waits for the node to bring its token.', expired: 'The token was not brought in time. Invite the node again.', retired: 'No server lets it in any more. Its events and its footage stay.',
  } as Record<Standing, string>,
  states: { invited: 'invited', active: 'in service', drained: 'drained', retired: 'retired' } as Record<NodeState, string>,
  counts: (here: number, late: number, gone: number) => `${here} here · ${late} late · ${gone} gone`,
  of: (online: number, recording: number, all: number) => `${online} / ${recording} of ${all}`, place: (epoch: number, seq: number) => `life ${epoch}, record ${seq}`, sinceOld: 'as last heard', waiting: (n: string) => `${n} records`, recordedBy: (nodes: string) => `recorded by ${nodes}`, recordsFor: (nodes: string) => `records for ${nodes}`,
  none: 'No nodes yet', noneHint: 'Invite the first sub-centre: choose its cameras, and carry the token to it.', next: 'Next node', previous: 'Previous node', close: 'Close the node', open: (id: string) => `Node ${id}`,
  detail: {
    live: 'Live here', liveOf: (n: number, has: string, may: string) => `${plural(n, 'stream')}, ${has} of ${may}`,
    title: 'Node', what: 'What it is', cameras: 'Cameras assigned', standby: 'Stands by for', inPlace: 'In place', version: 'Version', other: (own: string) => `this node has ${own}; nodes and centre may differ by one version`, clock: 'Clock', clockOff: 'Set the clocks of both by one time server: footage and events of the two are compared by it.', address: 'Enrolled from', enrolled: 'Enrolled', invited: 'Invited', by: (who: string) => `by ${who}`, expires: 'Token good until', quarantinedHint: 'Records that were not taken in, each with its reason in the journal under Storage: relay.quarantined.', backlog: 'Waiting at the node', unknown: 'not known',
  },
  invite: {
    button: 'Invite a node', again: 'New token', title: 'Invite a node', id: 'Name of the node', idHint: 'The name it has in its own fengsui.toml under [node] id: a-z, 0-9 and - , at most 32.', chosen: 'Cameras', chosenHint: 'Cameras and places that this node knows; a place stands for its cameras.', codes: 'Or codes of cameras', codesHint: '20 digits each, one a line.', hours: 'Token good for (hours)', hoursHint: '1 to 720',
    fault: { id: 'Write 1 to 32 of a-z, 0-9 and -.', cameras: 'Choose cameras, or write their codes.', codes: 'These are no codes of cameras:', standby: 'These are no codes of cameras:', both: 'These are among its own cameras; choose one or the other:', hours: 'Write a whole number from 1 to 720.' } as Record<InviteFault, string>,
    shown: 'The token is shown here once', shownLead: 'Carry it to the node now. It is stored nowhere and cannot be shown again; it works once.', token: 'Token', until: (s: string) => `Good until ${s}.`, command: 'At the node, run this, and give it the token when it asks', copy: 'Copy', copied: 'Copied', copyToken: 'Copy the token', copyCommand: 'Copy the command', done: 'I have it', after: 'Then write this into the node’s fengsui.toml and start it anew:',
  },
  standby: {
    invite: 'It stands by for cameras of other nodes', assign: (n: number) => `Change for which cameras of other nodes it stands by (${n} now)`, lead: 'While the node that has such a camera is not heard, this one records it, and the footage is brought back later. Its own configuration must have the camera too, with standby_for.',
    chosen: 'Cameras to stand by for', chosenHint: 'What is chosen here takes the place of all; none: it stands by for no camera.', codes: 'Or codes of those cameras', codesHint: '20 digits each, one a line.',
  },
  assign: { button: 'Assign cameras', title: (id: string) => `Assign cameras to ${id}`, lead: (n: number) => `What is chosen here takes the place of all ${plural(n, 'camera')} that the node has now. Events about any other camera are not taken from it.`, done: (id: string) => `The cameras of ${id} are assigned.`, action: 'Assign' },
  drain: { button: 'Drain', title: (id: string) => `Drain ${id}?`, lead: 'It works on and records on, and gets nothing new: the first step before it is replaced or retired.', done: (id: string) => `${id} is drained.`, action: 'Drain' },
  retire: { button: 'Retire', title: (id: string) => `Retire ${id}?`, lead: 'Its link is cut at once and no server lets it in again. What it has not sent by now stays with it. Its events here stay. It comes back by a new invitation alone.', waits: (n: string) => `By its last word, ${n} records wait there and would not come here.`, done: (id: string) => `${id} is retired.`, action: 'Retire', sure: (id: string) => `Write the name of the node to confirm: ${id}`, sureFault: 'This is not its name.' },
  reason: 'Reason', reasonHint: 'Stands in the journal.', reasonFault: 'Write a reason.', working: 'Working …',
  problem: { not_found: { what: 'This node does not exist', remedy: 'Load the list again.' }, conflict: { what: 'Not possible for this node now', remedy: 'Its state has changed; load the list again.' } } as Record<string, Said>,
};

export type NodesMessages = typeof nodesEn;
