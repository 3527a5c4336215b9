import type { ErrorHelp } from './help.ts'

/** Codes about objects and lookups that are read. */
export const inputCodes = {
  'bad-object': {
    means: "An object cannot be read in the source's format, and the source says `onBadObject: 'fail'`.",
    todo: "Correct the object, or set it aside with `onBadObject: 'quarantine'`.",
  },
  'bad-row': {
    means: "A row has a value that its column cannot hold, and the source says `onBadRow: 'fail'`.",
    todo: "Correct the object, declare another type, or set such rows aside with `onBadRow: 'quarantine'`.",
  },
  'denied-object': {
    means: 'The store does not let an object be read, and the source says that such objects stop the run.',
    todo: 'Allow the action that the message names, and start again.',
  },
  'object-denied': {
    means: 'The store refuses to hand an object over.',
    todo: 'Allow `s3:GetObject` on it, and `kms:Decrypt` on its key where it is encrypted.',
  },
  'object-archived': {
    means: 'The object lies in a storage class that has to be restored before it is read.',
    todo: 'Restore it, then run `millrace retry`.',
  },
  'object-refused': {
    means: 'The store cannot have such a key or version, or a link leads out of the directory of the source.',
    todo: 'Correct the name. A directory source follows such links only when it is told to.',
  },
  'object-changing': {
    means: 'A file is written to so often that no read of it is whole.',
    todo: 'Write files elsewhere and move them in place when they are complete.',
  },
  'short-body': {
    means: 'The store answered with fewer or other bytes than were asked for, several times.',
    todo: 'Run again. If it stays so, look at the server, or at a proxy between.',
  },
  'impossible-listing': {
    means: 'A listing of the store contradicts itself: keys out of order, or one key twice.',
    todo: 'Run again. If it stays so, look at the server, or at a proxy between.',
  },
  'key-not-listed': {
    means: 'A key has a character that the listing of this store cannot show.',
    todo: 'Give the object another key, or use a store that lists with `encoding-type=url`.',
  },
  unreadable: {
    means: '`millrace infer` cannot read the file that it was given.',
    todo: 'Give it a whole file of the format that you name.',
  },
  lookup: {
    means: "A lookup's objects cannot be used: one is broken, or a key stands there twice.",
    todo: 'Correct the object that the message names.',
  },
  'lookup-changed': {
    means: "A lookup's objects change faster than they can be read.",
    todo: 'Replace them less often. The run tries again by itself.',
  },
  'not-set-aside': {
    means: '`millrace retry` was asked for an object that is not set aside.',
    todo: '`millrace inspect` lists the objects that are.',
  },
  'late-not-kept': {
    means: '`millrace apply-late` was called for a source that keeps no state of closed windows.',
    todo: "Give the source `late: { retention: '30 days' }`, and the pipeline a new checkpoint and output.",
  },
  'too-many-tags': {
    means: 'An object has ten tags already, so that `after` cannot add one.',
    todo: "Take a tag away, or use `after: 'keep'`.",
  },
} as const satisfies Record<string, ErrorHelp>
