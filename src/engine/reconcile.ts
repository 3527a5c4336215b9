import type { Executor } from '../core/ports.ts'
import { admittedObject, admittedPages, type KnownOutcome, listNew, type Listed } from './admit.ts'
import type { Intake } from './intake.ts'
import type { Run } from './open-run.ts'

export interface Reconciler {
  /**
   * Lists the source and offers what the ledger does not hold, in the order of S7: what no notification named (P2).
   * @param known the outcome of what is found; absent: it is read
   */
  run(known?: KnownOutcome): Promise<Listed & { readonly found: number }>
}

/**
 * The listing and the ledger lie in DuckDB tables, so a million keys cost no memory here.
 *
 * @param signal ends a listing on its way, with an error
 */
export function createReconciler(run: Run, intake: Intake, executor: Executor, signal: AbortSignal): Reconciler {
  const { store, format, settings } = run.fetch
  /** What the last listing showed first. A file that is still being written looks different in the next one. */
  let hasSeen = false

  return {
    async run(known) {
      const listed = await listNew({
        store,
        matches: run.input.matches,
        format,
        settings,
        executor,
        from: undefined,
        to: undefined,
        signal,
      })
      if (store.showsUnfinished && !known) await keepSettled()
      let found = 0
      for await (const page of admittedPages(executor)) {
        signal.throwIfAborted()
        const offers = page.map(row => ({ version: admittedObject(row), ...(known ? { known } : {}) }))
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
