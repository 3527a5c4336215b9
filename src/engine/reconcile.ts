import type { Executor } from '../core/ports.ts'
import { admittedObject, admittedPages, type KnownOutcome, listNew, type Listed } from './admit.ts'
import type { Intake } from './intake.ts'
import type { Run } from './open-run.ts'

export interface Reconciler {
  /**
   * Lists the source and offers what the ledger does not hold, in the order of S7: what no notification named (P2).
   *
   * @param history given: only history is offered, and none of it is read
   */
  run(history?: History): Promise<Listed & { readonly found: number }>
}

/** What lay there at the first start, where that is not to be read. */
export interface History {
  readonly known: KnownOutcome
  /** When the last of it was modified, in ms since 1970 by the store's clock; null where no listing has told yet. */
  readonly toMs: number | null
  /** Told the end, before anything is offered. */
  begin(toMs: number): Promise<void>
}

/**
 * The listing and the ledger lie in DuckDB tables, so a million keys cost no memory here.
 *
 * @param signal ends a listing on its way, with an error
 */
export function createReconciler(run: Run, intake: Intake, executor: Executor, signal: AbortSignal): Reconciler {
  const { store, settings } = run.fetch
  /** What the last listing showed first. A file that is still being written looks different in the next one. */
  let hasSeen = false

  return {
    async run(history) {
      const listed = await listNew({
        store,
        kindOf: run.kindOf,
        settings,
        executor,
        from: undefined,
        to: undefined,
        signal,
      })
      if (store.showsUnfinished && !history) await keepSettled()
      let toMs = history?.toMs ?? null
      if (history && toMs === null) {
        const [last] = await executor.rows('SELECT max(last_modified_ms) AS ms FROM admitted')
        // An empty place has no history.
        toMs = Number(last?.ms ?? Number.MIN_SAFE_INTEGER)
        await history.begin(toMs)
      }
      let found = 0
      for await (const page of admittedPages(executor)) {
        signal.throwIfAborted()
        const versions = page.map(admittedObject)
        const offers = history
          ? versions
              .filter(({ lastModifiedMs }) => lastModifiedMs <= (toMs as number))
              .map(version => ({ version, known: history.known }))
          : versions.map(version => ({ version }))
        found += offers.length - (await intake.offer([{ offers }]))
      }
      await executor.run('DROP TABLE admitted')
      return { ...listed, found }
    },
  }

  /** Leaves in `admitted` what the listing before this one showed as it is now. */
  async function keepSettled(): Promise<void> {
    if (!hasSeen) await executor.run('CREATE TABLE unsettled (key VARCHAR, e_tag VARCHAR)')
    hasSeen = true
    await executor.run(
      'CREATE TABLE settled AS SELECT row_number() OVER (ORDER BY n) AS n, a.* EXCLUDE (n) FROM admitted AS a ' +
        'WHERE EXISTS (SELECT 1 FROM unsettled AS u WHERE u.key = a.key AND u.e_tag = a.e_tag)',
    )
    await executor.run('CREATE OR REPLACE TABLE unsettled AS SELECT key, e_tag FROM admitted')
    await executor.run('DROP TABLE admitted')
    await executor.run('ALTER TABLE settled RENAME TO admitted')
  }
}
