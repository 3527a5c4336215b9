import type { Measurement } from '../../src/engine/report/running.ts'

/** What a run of one state might hold. */
export const measurement: Measurement = {
  term: 3,
  epoch: 7,
  checkpointAddress: 'file:///ck',
  outputs: ['file:///out'],
  totals: {
    rows: 100,
    late: 2,
    applied: 0,
    objects: 10,
    quarantined: 1,
    skipped: 0,
    gone: 0,
    suspect: 0,
    quarantinedRows: 4,
    outsideBounds: 0,
    epochs: 7,
  },
  inHand: 5,
  admitted: { objects: 15, bytes: 1_500 },
  sources: [
    {
      source: 'trips',
      watermarkUs: 1_640_995_200_000_000n,
      highMarkUs: 1_640_998_800_000_000n,
      address: 's3://lake/trips',
      inHand: { objects: 5, oldestMs: 1_200 },
      admitted: { objects: 15, bytes: 1_500 },
      backlog: { messages: 11, oldestAgeMs: 2_500 },
    },
  ],
  states: [
    {
      name: 'aggregate-1',
      rows: 12,
      bytes: 600,
      openWindows: 2,
      windows: [
        { startUs: 1_640_995_200_000_000n, endUs: 1_640_998_800_000_000n, groups: 7 },
        { startUs: 1_640_998_800_000_000n, endUs: 1_641_002_400_000_000n, groups: 5 },
      ],
      watermarkUs: 1_640_995_200_000_000n,
    },
    { name: 'aggregate-1-values', rows: 40, bytes: 900, watermarkUs: 1_640_995_200_000_000n },
  ],
  undelivered: [{ flow: 'flow-2', epochs: 3, rows: 30, bytes: 700 }],
  sinks: [{ flow: 'flow-1', epochs: 2, rows: 20, bytes: 500, retries: 4 }],
  held: [{ flow: 'flow-1', rows: 70, bytes: 900, ageMs: 45_000 }],
  checkpoint: { headBytes: 4_000, bytes: 9_000, files: 2 },
  backlog: { messages: 11, oldestAgeMs: 2_500 },
  notifications: { malformed: 1, deleted: 9 },
  duckdb: { memoryBytes: 1_000_000, spillBytes: 0, limitBytes: 2_000_000 },
}
