import type { ErrorHelp } from './help.ts'

/** Codes about where results go. */
export const outputCodes = {
  'output-missing': {
    means: 'The folder or table of a flow is gone, but its checkpoint has committed rows to it.',
    todo: 'Bring it back, or begin with a new checkpoint and compute everything again.',
  },
  'output-owned': {
    means: 'The folder or table belongs to another checkpoint or another flow.',
    todo: 'Take another folder or table. The message says how the old owner sets it free.',
  },
  'output-unfit': {
    means: 'The table that is there has other columns than the flow, or is written in a way that is not known here.',
    todo: 'Take another table, or change the one that is there as the message says.',
  },
  'output-beyond': {
    means:
      'The folder or table has rows of epochs that the checkpoint does not know: an older copy of it was put back.',
    todo: 'Bring the newer checkpoint back, or take these rows away. They are computed again.',
  },
  'output-denied': {
    means: 'The user of a database may not do what the sink needs.',
    todo: 'Grant what the message lists. Committed rows wait in the checkpoint.',
  },
  output: {
    means: 'Committed rows cannot be published, because what a checkpoint keeps of them is not there.',
    todo: 'Restore the file that the message names from a copy.',
  },
  emit: {
    means: 'The results of an epoch could not be computed: an expression over aggregates failed.',
    todo: 'Correct or guard the expression. Nothing of the epoch was committed.',
  },
  partitions: {
    means: 'One epoch has rows for more folders than an epoch may write.',
    todo: 'Part the output by fewer columns, or put fewer objects into an epoch.',
  },
  'partition-name': {
    means: 'A value makes the name of a folder longer than file systems take.',
    todo: 'Part by something shorter, such as `left(name, 40)`.',
  },
  'rows-not-taken': {
    means: "A subscriber behind `rows()` or `batches()` failed, so that an epoch's rows were not taken.",
    todo: 'Correct the subscriber. The rows stay in the checkpoint, and the next start hands them over again.',
  },
  'postgres-away': { means: 'The database does not answer.', todo: 'A daemon tries again. Committed rows wait.' },
  'postgres-refused': {
    means: 'The database refused a statement or the login.',
    todo: 'The message has what it said. Committed rows wait in the checkpoint.',
  },
  'delta-busy': {
    means: 'Other writers of a Delta table were faster many times.',
    todo: 'A daemon tries again. Let fewer writers write to one table.',
  },
  'catalog-unavailable': { means: 'The catalog does not answer.', todo: 'A daemon tries again. Committed rows wait.' },
  'catalog-refused': {
    means: 'The catalog refused a call or the login.',
    todo: 'Correct the login, the name of the table, or what the identity may do.',
  },
  'no-login': {
    means: 'A command needs to look into a database or a catalog, and checkpoints keep no logins.',
    todo: 'Follow the message: begin with another checkpoint and an empty table where nothing else is said.',
  },
} as const satisfies Record<string, ErrorHelp>
