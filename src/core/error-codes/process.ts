import type { ErrorHelp } from './help.ts'

/** Codes about the process and the machine below it. */
export const processCodes = {
  resources: {
    means: 'DuckDB ran out of memory, of disk, or of open files.',
    todo: 'Give more memory (`--memory`), a folder with more room (`--spill`), or raise `ulimit -n`.',
  },
  'crowded-key': {
    means: 'A join would make more pairs for one key than `pairsOfKeyMax` allows.',
    todo: 'Leave such a key out before the join, make the bound smaller, or raise the limit.',
  },
  'disk-full': {
    means: 'An object cannot be fetched, because the disk below the spill folder is full.',
    todo: 'Free space, or name another folder with `--spill`.',
  },
  'file-system': {
    means: 'A call to the file system failed.',
    todo: 'Look at the disk, its room and its permissions. The next start goes on from the last commit.',
  },
  'file-changed': {
    means: 'A file became shorter while it was sent to the store.',
    todo: 'Let nobody else write into the spill folder.',
  },
  busy: {
    means: 'Two calls of one process would write the checkpoint at once.',
    todo: 'This is a defect. Please report it.',
  },
  aborted: {
    means: 'The run was stopped in the middle of an epoch.',
    todo: 'The next start goes on from the last commit.',
  },
  'drain-timeout': {
    means: 'The last epoch was not done in the time that a stop leaves it.',
    todo: 'Give it more time with `--drain-seconds`. The next start does that epoch again.',
  },
  simulated: {
    means: 'A faulty store of `millrace/testing` failed, as it was told to.',
    todo: 'This is seen in tests only.',
  },
  unexpected: {
    means: 'An error that millrace does not know.',
    todo: 'MILLRACE_DEBUG=1 shows where it came from. Please report it.',
  },
} as const satisfies Record<string, ErrorHelp>
