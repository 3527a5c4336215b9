import type { ErrorHelp } from './help.ts'

/** Codes about checkpoints and replays. */
export const checkpointCodes = {
  fenced: {
    means: 'Another process claimed the checkpoint. Only one may write to it.',
    todo: 'Nothing is lost. Let the other process go on, and start one process for each checkpoint.',
  },
  'stopped-waiting': {
    means: 'The process was stopped while it waited for another one to let the checkpoint go.',
    todo: 'Nothing was done. Stop the other process first, or start with `--takeover`.',
  },
  'not-claimed': {
    means: 'The checkpoint could not be claimed, because other processes claimed it faster each time.',
    todo: 'Start one process for each checkpoint.',
  },
  'commit-in-doubt': {
    means: 'A commit was sent, and the store did not say whether it was made.',
    todo: 'Start again: the next start finds out, and counts nothing twice.',
  },
  'plan-changed': {
    means: 'The pipeline was changed in a way that its checkpoint cannot go on with.',
    todo: 'Undo the change, or give the pipeline a new checkpoint and a new output.',
  },
  sealed: {
    means: 'The checkpoint was ended by `--final`, which closed every window.',
    todo: 'Use a new checkpoint and a new output.',
  },
  'newer-format': {
    means: 'The checkpoint was written by a newer millrace.',
    todo: 'Use that version, or a later one.',
  },
  'head-lost': {
    means: 'A checkpoint has files, but no HEAD that says what they mean.',
    todo: 'Bring HEAD back from a copy or an older version, or run `millrace repair`.',
  },
  'head-there': { means: '`millrace repair` found that nothing is lost.', todo: 'There is nothing to do.' },
  'no-manifest': {
    means: '`millrace repair` found no manifest that is whole.',
    todo: 'Bring the checkpoint back from a copy, or begin with a new one.',
  },
  'corrupt-object': {
    means: 'A file that millrace wrote has other bytes than it was written with.',
    todo: 'Restore it from a copy. Nothing was changed.',
  },
  'missing-object': {
    means: 'A file is gone that the checkpoint or an output names.',
    todo: 'Restore it from a copy. Nothing was changed.',
  },
  'object-exists': {
    means: 'A name that millrace writes once has other bytes already.',
    todo: 'Move that object away and start again. Nothing was overwritten.',
  },
  'replay-object': {
    means: 'A replay needs an object in the version that was read, and it is not there.',
    todo: 'Bring that version back. Without it the ledger cannot be replayed.',
  },
  'replay-deleted': {
    means: "A replay needs an object that the source deleted, as `after: 'delete'` says.",
    todo: 'Bring it back from a backup or an older version of the bucket.',
  },
  'epoch-regressed': { means: 'A commit would go back in epochs.', todo: 'This is a defect. Please report it.' },
  'immutable-key': {
    means: 'A file that is written once would be replaced.',
    todo: 'This is a defect. Please report it.',
  },
  'invalid-kind': { means: 'A file of an unknown kind would be written.', todo: 'This is a defect. Please report it.' },
  released: { means: 'A checkpoint that was let go would be written.', todo: 'This is a defect. Please report it.' },
  'invalid-key': {
    means: 'A name cannot be that of a file below a directory.',
    todo: "Use names parted by '/', without '.', '..' or a backslash.",
  },
} as const satisfies Record<string, ErrorHelp>
