import type { EpochResult } from './summary.ts'

/** What happens in a run, as plain data: logs and metrics are made of these. Times are milliseconds. */
export type RunEvent =
  /** Another process owns the checkpoint and lives: this one stands by (P5). */
  | { readonly is: 'waiting'; readonly owner: string }
  /** The checkpoint is claimed and its state loaded. */
  | { readonly is: 'started'; readonly term: number; readonly epoch: number; readonly checkpoint: string }
  | { readonly is: 'epoch'; readonly result: EpochResult }
  /** Messages came in, with so many objects; so many of them are in the ledger or under way already. */
  | { readonly is: 'received'; readonly messages: number; readonly objects: number; readonly duplicates: number }
  /** The source was listed: so many objects are new to the ledger. */
  | { readonly is: 'reconciled'; readonly listed: number; readonly found: number; readonly tookMs: number }
  /** Something outside does not answer as it should, and is tried again. */
  | { readonly is: 'trouble'; readonly what: string; readonly error: string }
  /** The run starts again from its checkpoint, as after a crash. */
  | { readonly is: 'restarting'; readonly error: string; readonly inMs: number }
  | { readonly is: 'draining' }
  | { readonly is: 'stopped'; readonly epoch: number }
