const plural = (n: number, one: string, many = `${one}s`): string => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
const number = (n: number): string => n.toLocaleString('en');

/** Texts of the storage screen; they are loaded with it. */
export const storageEn = {
  title: 'Storage',
  parts: { volumes: 'Volumes', retention: 'Retention', holds: 'Holds', integrity: 'Integrity', archive: 'Archive', journal: 'Journal' },
  parting: 'Parts of storage', abnormal: 'needs attention', go: (part: string) => `Show: ${part}`, refresh: 'Load again',
  old: 'This is the last answer of the server; asking again failed:', more: 'More', loadingMore: 'Loading …', rate: (s: string) => `${s}/s`, segments: (n: number) => plural(n, 'segment'),
  everyCamera: 'every camera', both: 'both streams', working: 'Working …', unnamed: 'not in the configuration', cameraAndMore: (name: string, n: number) => `${name} and ${number(n)} more`,
  volumes: {
    none: 'No volumes are configured', noneHint: 'Nothing can be recorded. Add [[storage.volume]] with id and path to the configuration file.',
    mode: { use: 'takes footage', drain: 'draining: takes no new footage', evacuate: 'being emptied: its footage moves to other volumes' },
    kind: { direct: 'written directly', staged: (stage: string) => `open segments are written on ${stage}`, stage: 'stage: open segments of other volumes are written here' },
    fill: (id: string, used: string) => `Fill of ${id}: ${used}`, footage: 'Footage', other: 'Other files', free: 'Free', reserve: 'Reserve, left free', of: (part: string, all: string) => `${part} of ${all}`,
    weight: 'Share of new footage', weightOf: (percent: number) => `${percent} % of what its free room gives`, stored: 'Stored', open: 'Being written', waiting: 'Waiting to be moved', moved: 'Moved since start', failures: 'Moves failed since start',
    since: 'In this state since', countedHint: 'Segments are counted every ten seconds.', unknownSize: 'Its size is not known while it is not there.',
    high: 'Cleaning starts', low: 'Cleaning stops',
    orders: { use: 'Use again', drain: 'Drain', evacuate: 'Move everything away', adopt: 'Take over the disk', replace: 'Use the new disk', replace_folder: 'Use a plain folder' },
    ask: {
      use: (id: string) => `Let ${id} take footage again?`, drain: (id: string) => `Give ${id} no new footage?`, evacuate: (id: string) => `Move all footage from ${id} to other volumes?`,
      adopt: (id: string) => `Take the mounted disk over as ${id}?`, replace: (id: string) => `Use the new disk as ${id}?`, replace_folder: (id: string) => `Use a plain folder as ${id}?`,
    },
    effect: {
      use: 'New segments are placed here again, by its free room and its share.',
      drain: 'New segments go to other volumes while one of them takes footage. What lies here stays and can be played.',
      evacuate: 'New segments go to other volumes, and what lies here is copied there and checked before it is removed here. Playback goes on. This can take hours.',
      adopt: 'The disk mounted in its place, with the footage on it, becomes this volume.',
      replace: 'The empty disk mounted in its place becomes this volume. What was on the old disk and nowhere else is shown as lost.',
      replace_folder: 'The empty folder becomes this volume although no disk is mounted there.',
    },
    given: (id: string) => `The order for ${id} is given; its effect shows within some seconds.`, refused: 'The order was refused',
  },
  integrity: {
    state: { idle: 'All was read lately; nothing to do', reading: 'Reading', paused: 'Waits: recording needs the disks', off: 'The continuous check is turned off; only requests are read' },
    offHint: 'Set storage.scrub_mib_per_s in the configuration to a value above 0.',
    pass: 'Check of all footage', last: 'Last whole pass', never: 'No pass has come through yet.', progress: 'Progress of the pass', doneOf: (percent: string, read: string, all: string) => `${percent}: ${read} of ${all} of stored footage`, read: (read: string) => `${read} read`,
    limit: 'Rate at most', measured: 'Rate so far', left: 'Expected end', leftIn: (s: string, at: string) => `in ${s} (${at})`, started: 'Begun', finished: 'Finished', took: 'Took', reached: 'Has come to', skipped: 'Could not be read', found: 'Newly damaged', repaired: 'Replaced by a copy', period: 'A whole pass takes', errors: 'Failures since start',
    checks: 'Requests', noChecks: 'No checks have been asked for.', wait: 'waits or is being read', through: 'through', result: (segments: number, damaged: number) => `${plural(segments, 'segment')} read, ${number(damaged)} newly damaged`,
    ask: 'Have footage checked', askHint: 'It is read to the last byte before the continuous check goes on.', camera: 'Camera', cameraHint: 'Left empty: every camera', from: 'From', to: 'To', stream: 'Stream', submit: 'Check', accepted: 'The check is accepted.', tooMany: 'Too many checks wait already. Ask again when some of them are through.',
    damaged: 'Damaged places', noDamage: 'Nothing is damaged', noDamageHint: 'Everything read so far is what was written.', total: (n: number, lost: string) => `${plural(n, 'place')}; ${lost} of footage lost`, unlisted: (n: number) => `${number(n)} more are not listed; see the journal.`,
    columns: { camera: 'Camera', moment: 'Lost footage', part: 'What', file: 'File', found: 'Found' }, toMoment: (camera: string, at: string) => `Play ${camera} at ${at}`, nothingLost: 'no picture lost', lostFor: (s: string) => `${s} lost`,
    part: { preamble: 'start of the file', group: 'pictures', record: 'commit record', footer: 'end of the file', file: 'whole file' }, at: (offset: string, length: string) => `from byte ${offset}, ${length}`,
  },
  archive: {
    none: 'No archive is configured', noneHint: 'An archive keeps closed footage a second time, in an S3 store or a directory. Add [[storage.archive]] to the configuration file.',
    state: { ok: 'Normal', behind: 'Behind', unreachable: 'No answer', refused: 'Refuses' },
    remedy: { behind: 'Footage is due for longer than it should be. Check the line to the store, or give it more room.', unreachable: 'It is tried again by itself. Check the store and the network.', refused: 'Somebody has to look: check the keys, rights and the bucket of the store.' },
    place: 'Place', stored: 'Kept there', backlog: 'Due and not there yet', nothingDue: 'nothing', lag: 'The oldest has been due for', lock: 'Object lock', lockState: { locked: 'locked: even the store’s keeper cannot delete', not_locked: 'not locked: the store lets footage be deleted', unknown: 'not known' },
    verified: 'Last read back and compared', never: 'not yet', work: 'Since start', sent: (n: number, bytes: string) => `${plural(n, 'segment')} stored, ${bytes}`, compared: (n: number) => `${number(n)} of them compared`, failures: 'Attempts failed', lies: 'Not what was sent, sent again', unreadable: 'Could not be read here', reads: 'Fetched for playback', since: 'In this state since', uploadCheck: 'Checked by the store',
  },
  holds: {
    lead: 'What is held is not deleted, whatever its age and however full the disks.', place: 'Hold footage', none: 'No holds are in force', noneReleased: 'No hold has been released', noneHint: 'Hold footage that a case needs before its time of keeping is over.',
    show: 'Show', inForce: (n: number) => `In force (${number(n)})`, released: 'Released', columns: { number: 'No.', what: 'Cameras', time: 'Footage', reason: 'Reason', by: 'Placed' },
    openEnd: 'until released', caseNo: (s: string) => `case ${s}`, releasedBy: (who: string, at: string) => `released by ${who}, ${at}`, extended: (n: number) => `extended ${plural(n, 'time')}`,
    form: { title: 'Hold footage', what: 'Cameras and places', whatHint: 'Name, code, address or pinyin initials. A place also holds cameras that are added to it later.', from: 'From', to: 'To', toHint: 'Left empty: until the hold is released, footage to come included. A time to come is written with its year: 2026-12-31 18:00.', stream: 'Streams', reason: 'Reason', case: 'Case number', caseHint: 'May be left empty.', submit: 'Hold' },
    fault: { nothing: 'Choose at least one camera or place.', reason: 'Say why, in a sentence.', reasonLong: 'At most 500 characters, on one line.', caseLong: 'The case number is too long. Write the number alone.', unknown: 'Not all of this is in the configuration any more. Choose again.' },
    placed: (id: number, segments: number, bytes: string) => `Hold ${id} is in force. It keeps ${plural(segments, 'segment')} (${bytes}) stored now.`,
    gone: (s: string) => `${s} of it had been deleted before; no hold can bring that back:`, goneMore: 'There are more stretches than these.', release: 'Release', releaseAsk: (id: number) => `Release hold ${id}?`,
    releaseEffect: 'What it kept is deleted when its time is over, if no other hold keeps it. This cannot be undone.', releaseReason: 'Reason for the release', done: (id: number) => `Hold ${id} is released.`, gone409: 'This hold was released already.', toPlay: 'Show its footage',
  },
  time: { hint: '1430, 11-23 14:30, -2h', reads: (s: string) => `= ${s}`, missing: 'A time is needed.', bad: 'This is no time. Examples: 1430, 11-23 14:30, 2026-11-23 14:30, -2h.', before: 'The end is not after the start.' },
  picker: { site: 'site', station: 'station', centre: 'sub-centre', camera: 'camera', remove: (name: string) => `Remove ${name}`, nothing: 'Nothing is called so.' },
};

export type StorageMessages = typeof storageEn;
