import type { EventKind } from './types';

/** Kinds that head a row, in the order of the filter. What ends something heads none. */
export const EVENT_KINDS: EventKind[] = [
  'camera.offline',
  'camera.stalled',
  'camera.gap_opened',
  'camera.clock_offset',
  'camera.picture_lost',
  'storage.volume',
  'storage.slow',
  'node.journal',
  'node.key',
  'node.started',
  'node.stopped',
  'node.offline',
  'standby.taken',
  'standby.returned',
  'device.input',
  'operator.mark',
];

/** Kinds that a token may send. */
export const TOKEN_KINDS: EventKind[] = ['device.input', 'camera.picture_lost'];
