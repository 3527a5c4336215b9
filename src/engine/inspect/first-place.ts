import type { Executor } from '../../core/ports.ts'

/**
 * The least n for which something holds of the first n rows, where it goes on to hold with each further one, and holds
 * of all.
 *
 * @param numbered SQL of the rows, with `_n` from 1 on
 */
export async function firstPlace(
  executor: Pick<Executor, 'rows'>,
  numbered: string,
  holds: (n: number) => Promise<boolean>,
): Promise<number> {
  const [row] = await executor.rows(`SELECT count(*) AS n FROM (${numbered})`)
  let [below, at] = [0, Number(row?.n)]
  while (at - below > 1) {
    const middle = Math.floor((below + at) / 2)
    if (await holds(middle)) at = middle
    else below = middle
  }
  return at
}
