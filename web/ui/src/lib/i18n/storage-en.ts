const plural = (n: number, one: string, many = `${one}s`): string => `${n.toLocaleString('en')} ${n === 1 ? one : many}`;
const number = (n: number): string => n.toLocaleString('en');

/** Texts of the storage screen; they are loaded with it. */
export const storageEn = {
  title: 'Storage',
  parts: { volumes: 'Volumes', integrity: 'Integrity' },
  parting: 'Parts of storage', abnormal: 'needs attention', go: (part: string) => `Show: ${part}`, refresh: 'Load again',
  old: 'This is the last answer of the server; asking again failed:', more: 'More', loadingMore: 'Loading …', rate: (s: string) => `${s}/s`, segments: (n: number) => plural(n, 'segment'),
  everyCamera: 'every camera', working: 'Working …',
  volumes: {
    none: 'No volumes are configured', noneHint: 'Nothing can be recorded. Add [[storage.volume]] with id and path to the configuration file.',
    mode: { use: 'takes footage', drain: 'draining: takes no new footage', evacuate: 'being emptied: its footage moves to other volumes' },
    kind: { direct: 'written directly', staged: (stage: string) => `open segments are written on ${stage}`, stage: 'stage: open segments of other volumes are written here' },
    fill: (id: string, used: string) => `Fill of ${id}: ${used}`, footage: 'Closed footage', other: 'Other files, footage being written included', free: 'Free', reserve: 'Reserve, left free', of: (part: string, all: string) => `${part} of ${all}`,
    weight: 'Share of new footage', weightOf: (percent: number) => `${percent} % of what its free room gives`, stored: 'Stored', open: 'Being written', waiting: 'Waiting to be moved', moved: 'Moved since start', failures: 'Moves failed since start',
    since: 'In this state since', countedHint: 'Segments are counted every ten seconds.', unknownSize: 'Its size is not known while it is not there.',
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
    given: (id: string) => `The order for ${id} is given; its effect shows within some seconds.`,
  },
  integrity: {
    state: { idle: 'Nothing to read now', reading: 'Reading', paused: 'Waits: recording needs the disks', off: 'The continuous check is turned off; only requests are read' },
    offHint: 'Set storage.scrub_mib_per_s in the configuration to a value above 0.',
    pass: 'Check of all footage', last: 'Last whole pass', never: 'No pass has come through yet.', progress: 'Progress of the pass', doneOf: (percent: string, read: string, all: string) => `${percent}: ${read} of ${all} of stored footage`, read: (read: string) => `${read} read`,
    limit: 'Rate at most', measured: 'Rate so far', left: 'Expected end', leftIn: (s: string, at: string) => `in ${s} (${at})`, started: 'Begun', finished: 'Finished', took: 'Took', whole: 'Read', reached: 'Has come to', skipped: 'Could not be read', found: 'Newly damaged', repaired: 'Replaced by a copy', period: 'A whole pass takes', errors: 'Failures since start',
    checks: 'Requests', noChecks: 'No checks have been asked for.', wait: 'waits or is being read', through: 'through', result: (segments: number, damaged: number) => `${plural(segments, 'segment')} read, ${number(damaged)} newly damaged`,
    ask: 'Have footage checked', askHint: 'It is read to the last byte before the continuous check goes on.', camera: 'Camera', cameraHint: 'Left empty: every camera', from: 'From', to: 'To', stream: 'Stream', submit: 'Check', accepted: 'The check is accepted.', tooMany: 'Too many checks wait already. Ask again when some of them are through.',
    damaged: 'Damaged places', noDamage: 'Nothing is damaged', noDamageHint: 'Everything read so far is what was written.', total: (n: number, lost: string) => `${plural(n, 'place')}; ${lost} of footage lost`, unlisted: (n: number) => `${number(n)} more are not listed; see the journal.`,
    columns: { camera: 'Camera', moment: 'Lost footage', part: 'What', file: 'File', found: 'Found' }, toMoment: (camera: string, at: string) => `Play ${camera} at ${at}`, nothingLost: 'no picture lost', lostFor: (s: string) => `${s} lost`,
    part: { preamble: 'start of the file', group: 'pictures', record: 'commit record', footer: 'end of the file', file: 'whole file' }, at: (offset: string, length: string) => `from byte ${offset}, ${length}`,
  },
  time: { hint: '1430, 11-23 14:30, -2h', reads: (s: string) => `= ${s}`, missing: 'A time is needed.', bad: 'This is no time. Examples: 1430, 11-23 14:30, 2026-11-23 14:30, -2h.', before: 'The end is not after the start.' },
  picker: { site: 'site', station: 'station', centre: 'sub-centre', camera: 'camera', remove: (name: string) => `Remove ${name}`, nothing: 'Nothing is called so.' },
};

export type StorageMessages = typeof storageEn;
