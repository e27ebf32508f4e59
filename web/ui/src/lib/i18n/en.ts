import type { FailureClass, GapReason, LinkTrouble } from '../api/types';
import type { Condition } from '../cameras/condition';

const plural = (n: number, one: string, many = `${one}s`): string => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;

interface Explained {
  what: string;
  remedy: string;
}

const failure: Record<FailureClass | LinkTrouble, Explained> = {
  unreachable: { what: 'The camera does not answer', remedy: 'Check power and network of the camera, and its address.' },
  auth: { what: 'The camera refuses user name or password', remedy: 'Correct the credentials of this camera in the configuration. Attempts are slowed down so that the account is not locked.' },
  wrong_path: { what: 'The address has no such stream', remedy: 'Correct the path after the host in the stream address; the vendor’s manual names it.' },
  not_rtsp: { what: 'Something else than a camera answers', remedy: 'The port speaks no RTSP. Correct the port; the usual one is 554.' },
  busy: { what: 'The camera takes no more connections', remedy: 'Close other viewers of this camera or recorder, or raise its limit of sessions.' },
  unsupported: { what: 'The stream cannot be used', remedy: 'Set the camera to H.264 or H.265 video.' },
  bad_data: { what: 'The camera sends malformed data', remedy: 'Restart the camera; if it stays, update its firmware or use TCP transport.' },
  no_key_frame: { what: 'Pictures arrive, but no key frame', remedy: 'Set the key frame interval (I-frame, GOP) of the camera to 1-2 seconds.' },
  stalled: { what: 'Connected, but no pictures arrive', remedy: 'The session is opened anew by itself. If it keeps happening, check the network path and the camera’s load.' },
  closed: { what: 'The camera closed the connection', remedy: 'It is opened anew by itself. If it keeps happening, the camera may be restarting or overloaded.' },
  internal: { what: 'Reading this camera failed within Fengsui', remedy: 'It was started again. Please report it together with the log of this time.' },
  node_unreachable: { what: 'The node with this camera does not answer', remedy: 'It goes on recording by itself. Nodes and links shows how its line stands; the picture comes back by itself.' },
  node_refuses: { what: 'The node does not give this picture', remedy: 'Compare cameras and program version of the node with this centre’s; the log of the node says why.' },
  link_full: { what: 'The line to the node is full', remedy: 'Pictures of the same or higher priority fill it. Close one of them, or open this tile large; it comes by itself when there is room.' },
  preempted: { what: 'Gave way on a full line', remedy: 'A picture of higher priority took the place of this one. It comes back by itself when there is room.' },
};

const gap: Record<GapReason, string> = {
  camera_offline: 'camera offline',
  auth: 'credentials refused',
  network: 'network trouble',
  node_down: 'server was off',
  disk_error: 'disk failed',
  disk_full: 'disk full',
  backpressure: 'disk too slow',
  policy: 'recording off',
  clock_step: 'clock set',
  crash_tail: 'lost in crash',
  expired: 'expired',
  sacrificed: 'deleted early, disk full',
  bad_stream: 'unreadable stream',
  no_key_frame: 'no key frame',
  damaged: 'damaged',
};

const condition: Record<Condition, string> = {
  offline: 'Offline',
  stalled: 'Stalled',
  not_recording: 'Not recording',
  unknown: 'Unknown',
  connecting: 'Connecting',
  ok: 'Normal',
  standby: 'Standby',
  disabled: 'Disabled',
};

export const en = {
  locale: 'en' as string,
  product: 'Fengsui',
  tagline: 'City video surveillance',
  nav: { overview: 'Overview', wall: 'Wall', play: 'Investigate', cameras: 'Cameras', storage: 'Storage', events: 'Events', tokens: 'Tokens', nodes: 'Nodes', search: 'Search', people: 'People', rules: 'Rules', units: 'Units', plans: 'Plans', reports: 'Reports', alarms: 'Alarms', incidents: 'Incidents', account: 'Your account', logOut: 'Log out', menu: 'Main navigation', other: '中文' as string, skip: 'Skip to content' },
  common: {
    close: 'Close', cancel: 'Cancel', retry: 'Try again', loading: 'Loading …', loadingCount: (have: number, all: number) => `Loading cameras: ${have} of ${all}`,
    none: '—', yes: 'yes', no: 'no', search: 'Search', main: 'main stream', sub: 'sub-stream', mainShort: 'Main', subShort: 'Sub',
    whatToDo: 'What to do', openLive: 'Live', openPlay: 'Footage', openDossier: 'Dossier', mark: 'Mark', noMatch: 'Nothing matches', clear: 'Clear',
    searchHint: 'name, code, address or pinyin initials',
    cameras: (n: number) => plural(n, 'camera'),
  },
  time: {
    serverTime: 'Server time', offset: (s: string) => `This workstation is ${s} off`, ahead: (s: string) => `ahead by ${s}`, behind: (s: string) => `behind by ${s}`,
    since: (s: string) => `for ${s}`, ago: (s: string) => `${s} ago`,
    duration: (d: number, h: number, m: number, s: number) => (d > 0 ? `${d} d ${h} h` : h > 0 ? `${h} h ${m} min` : m > 0 ? `${m} min ${s} s` : `${s} s`),
  },
  link: { live: 'Connected', lost: 'No connection to the server; trying again', title: 'Connection' },
  login: {
    title: 'Log in', name: 'User name', password: 'Password', submit: 'Log in', busy: 'Logging in …',
    wrong: 'User name or password is wrong.', tooMany: 'Too many attempts. Wait a minute and try again.', ended: 'Your session has ended. Log in to go on where you were.',
    show: 'Show password', hide: 'Hide password',
  },
  setup: {
    title: 'First start', lead: 'This server has no users yet. Make the first administrator.',
    token: 'One-time token', tokenHint: 'Printed on the server’s console after SETUP TOKEN.', name: 'User name', password: 'Password', repeat: 'Password again',
    passwordHint: 'At least 12 characters.', tooShort: 'The password has less than 12 characters.', differ: 'The two passwords differ.', submit: 'Make administrator', busy: 'Working …',
    wrongToken: 'This token is not valid. Take the one printed last on the console.',
  },
  overview: {
    title: 'Overview', online: 'Online', recording: 'Recording', notRecording: 'Not recording', offline: 'Offline', of: (n: number) => `of ${n.toLocaleString('en')}`,
    starting: (opening: number, waiting: number) => `Connecting ${plural(opening, 'camera')}, ${waiting.toLocaleString('en')} in the queue`,
    worst: 'Needs attention', allWell: 'Every camera is online and recording.', noCameras: 'No cameras are configured', noCamerasHint: 'Add cameras to the configuration file, or import them: fengsui cameras import list.csv',
    volumes: 'Storage', free: (free: string, total: string) => `${free} free of ${total}`, volume: { ok: 'Normal', full: 'Full', error: 'Error', missing: 'Missing' },
    volumeRemedy: { full: 'Nothing more is written here. Add a volume or free space.', error: 'Writing failed. Check the disk; recording goes on other volumes.', missing: 'The directory is not there. Is the disk mounted?' },
    noVolumes: 'No volumes are configured: nothing can be recorded.',
    node: 'Server', version: 'Version', uptime: 'Running', viewers: 'Live pictures out', clock: 'Clock', more: (n: number) => `${plural(n, 'more camera')}: open the table`,
    bySubCentre: 'By sub-centre',
    configRefused: 'The changed configuration was refused; the one before is in use',
    scope: (own: number, others: number) => `The whole city: ${plural(own, 'camera')} of this server, ${others.toLocaleString('en')} of other nodes`,
    unknown: (n: number) => `State of ${plural(n, 'camera')} unknown: their nodes do not answer`,
    othersWell: 'Every camera whose state is known is online and recording.',
  },
  nodes: {
    uplink: { connecting: 'Connecting to the centre', up: 'Connected to the centre', down: 'No link to the centre', closed: 'The link to the centre has ended' }, waiting: (n: number) => `${plural(n, 'record')} waiting`,
    server: 'The message server does not answer', nodes: 'Nodes', here: (n: number) => `${n} here`, late: (n: number) => `${n} late`, gone: (n: number) => `${n} gone`,
  },
  wall: {
    ofNode: (what: string, node: string) => `${what} (node ${node})`,
    title: 'Wall', tiles: (n: number) => plural(n, 'tile'), layout: 'Layout', tree: 'Cameras', empty: 'Empty tile', emptyHint: 'Choose a camera on the left',
    noCamerasPlaced: 'Choose a camera in the tree: it goes to the marked tile.', remove: 'Remove from tile', full: 'Full screen', leaveFull: 'Back to the wall', toPlay: 'Footage of this camera',
    move: 'Move between tiles', fill: 'Fill empty tiles', clearAll: 'Clear all tiles', starting: 'Starting', switching: (s: string) => `Switching to ${s}`, stalled: 'Stalled', offline: 'Offline', refused: 'Refused', noLink: 'No connection',
    noLinkHint: 'The connection to the server is lost; it is tried again by itself.', stalledHint: 'Pictures stopped; asked for again by itself.',
    unsupported: (codec: string) => `${codec} cannot be shown`, unsupportedHint: (stream: string) => `This browser does not decode it. Set the ${stream} of the camera to H.264.`,
    fallback: (codec: string) => `Sub-stream shown: the main stream is ${codec}`, fallbackHint: 'This browser does not decode it. To see the main stream here, set it to H.264 on the camera; recording is not affected.',
    fallbackOther: 'Sub-stream shown: the main stream is not available', expand: 'Open', collapse: 'Close', onTile: 'on the wall', tileN: (n: number) => `Tile ${n}`,
    gone: 'This camera is no longer configured',
  },
  play: {
    title: 'Investigate', choose: 'Choose cameras', chooseHint: 'One to four cameras play in step. Pick them on the left.', addCamera: 'Cameras', remove: 'Remove',
    time: 'Go to time', timeHint: 'Go to: 1430, 14:30:05, -10m', timeBad: 'This is no time. Examples: 1430, 14:30:05, 2026-11-23 14:30, -10m.',
    play: 'Play', pause: 'Pause', stepBack: 'One picture back', stepOn: 'One picture on', slower: 'Slower', faster: 'Faster', speed: 'Speed', keyOnly: 'key frames only',
    back10: '10 s back', on10: '10 s on', minuteBack: 'One minute back', minuteOn: 'One minute on', markIn: 'Mark start', markOut: 'Mark end', clearMarks: 'Clear marks', marked: (s: string) => `Marked ${s}`,
    zoomIn: 'Closer', zoomOut: 'Wider', toNow: 'Latest', timeline: 'Timeline', legend: 'Gaps', footage: 'footage', recordingNow: 'being written',
    buffering: 'Loading', skipped: (length: string, why: string) => `Skipped ${length} without footage: ${why}`, skippedUnknown: 'no footage', end: 'End of the footage', noFootage: 'No footage at this time',
    noFootageEver: 'Nothing has been recorded of this camera yet', full: 'At most four cameras play together. Remove one first.', stream: 'Stream', error: 'Footage cannot be loaded', loading: 'Loading footage',
    unsupportedHint: 'This browser does not decode it. Choose the sub-stream if it is recorded, or open the file in another player.',
    timelineHelp: 'Click: go there. Drag: move. Wheel: zoom.', timelineError: 'The timeline cannot be loaded', toFirst: 'Start of footage',
    days: {
      title: 'Choose a day', button: 'Days with footage', before: 'Month before', after: 'Next month', month: (year: number, month: number) => `${year}-${String(month).padStart(2, '0')}`, weekdays: ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'],
      has: (s: string) => `${s} of footage`, nothing: 'no footage', lacks: (s: string, why: string) => `${s} missing${why === '' ? '' : ` (mostly: ${why})`}`, missing: 'missing', comma: '; ',
    },
    held: 'held', hold: 'Hold this stretch', holdHint: 'What is held is not deleted',
  },
  cameras: {
    title: 'Cameras', name: 'Name', code: 'Code', site: 'Site', subCentre: 'Sub-centre', host: 'Address', state: 'State', main: 'Main stream', sub: 'Sub', recording: 'Recording', allStates: 'All states',
    shown: (n: number, all: number) => `${n.toLocaleString('en')} of ${all.toLocaleString('en')}`, csv: 'Save as CSV', noCameras: 'No cameras are configured', sortBy: (s: string) => `Sort by ${s}`,
    station: 'Station', class: 'Class', classNormal: 'normal', classKey: 'key target', position: 'Position', codec: 'Codec', size: 'Picture', fps: 'Frame rate', bitrate: 'Bit rate', clockOffset: 'Camera clock',
    lost: 'Packets lost', sessions: 'Sessions', received: 'Received', lastPicture: 'Last picture', nextTry: 'Next attempt', streamAddress: 'Stream address', since: 'Since',
    recordingState: { recording: 'Recording', not_recording: 'Not recording', off: 'Off' }, sessionState: { idle: 'Idle', waiting: 'Waiting', opening: 'Connecting', playing: 'Receiving', stalled: 'Stalled', back_off: 'Waiting to retry' },
    standbyFor: (node: string) => `Recorded by ${node}; here only while that node is gone.`, takenFor: (node: string) => `Recorded here in place of ${node}.`, idleHint: 'Pulled only while somebody watches.', noSub: 'no sub-stream', dossier: 'Dossier', facts: 'Streams', details: 'From the server', h265: 'H.265: not decoded by this browser; recorded as it is.',
  },
  keys: { title: 'Keys', palette: 'Search and commands', paletteHint: 'Camera, screen or command', help: 'This help', global: 'Everywhere', go: 'Go to', wall: 'Wall', play: 'Investigate', cameras: 'Cameras', empty: 'Nothing found' },
  error: {
    title: 'Something went wrong', noAnswer: 'The server does not answer', noAnswerRemedy: 'Check that it runs and that this workstation reaches it. It is tried again by itself.',
    generic: 'The server refused', generic5xx: 'The server failed', generic5xxRemedy: 'Try again; if it stays, look at the server’s log.', notFound: 'This page does not exist', toOverview: 'To the overview',
    dataOld: 'What is shown may be out of date.',
  },
  /** By the `code` of a refusal: what it is, and what to do when the node says nothing itself. */
  problem: {
    bad_request: { what: 'The input does not fit', remedy: 'Correct what is marked and try again.' },
    forbidden: { what: 'You may not do this', remedy: 'Ask an administrator.' },
    wrong_origin: { what: 'The page comes from another address', remedy: 'Open the server’s own address.' },
    not_found: { what: 'This does not exist any more', remedy: 'Load the page again.' },
    conflict: { what: 'Not possible in this state', remedy: 'Load the page again; somebody may have changed it.' },
    too_large: { what: 'Too much at once', remedy: 'Ask for less.' },
    too_many_attempts: { what: 'Too many attempts', remedy: 'Wait a minute and try again.' },
    too_many_events: { what: 'Too many events', remedy: 'Send them later.' },
    token_refused: { what: 'The token is not valid', remedy: 'Ask an administrator.' },
    damaged: { what: 'The stored pictures are damaged', remedy: 'They are listed under Storage, Integrity.' },
    internal: { what: 'The server failed', remedy: 'Try again; if it stays, look at the server’s log.' },
    not_built: { what: 'This server lacks the function', remedy: 'Install a server that has it.' },
    unsupported_media: { what: 'These pictures cannot be shown', remedy: 'Choose the other stream.' },
    archive_unreachable: { what: 'The archive does not answer', remedy: 'Look at Storage, Archive.' },
    unavailable: { what: 'Not available now', remedy: 'Try again in a moment.' },
    node_unreachable: { what: 'The node of this camera does not answer', remedy: 'Look at Nodes. The node itself goes on recording; its footage is there again with the link.' },
  } as Record<string, Explained>,
  failure, gap, condition,
  /** Cameras of other nodes. */
  far: {
    node: 'Node', own: 'this server', silent: (node: string) => `Node ${node} does not answer`, never: (node: string) => `Node ${node} has not told of this camera yet`,
    last: (how: string, at: string) => `last known: ${how}, ${at}`, remedy: 'Look at Nodes: line, power, or a camera that the node does not have. If only the line is gone, the node goes on recording.', toNodes: 'To Nodes',
    missing: (nodes: string) => `Missing: ${nodes}`, why: { gone: 'not heard', no_answer: 'no answer in time', busy: 'too busy', refused: 'refused', unreadable: 'answer not readable' } as Record<string, string>,
  },
};

export type Messages = typeof en;
