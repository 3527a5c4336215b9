import type { Relation } from '../../plan/relation.ts'
import { type Branch, isOfSources, type Leaf } from '../../plan/stages.ts'
import { unionRows } from '../../plan/union-rows.ts'
import { type FunctionRun, runSteps } from './function-steps.ts'

/** Where the rows of branches are found. */
export interface BranchSources {
  /** The rows of a source or of a stage; undefined where it has none. */
  leaf(leaf: Leaf): Relation | undefined
  /** What is there already, beside its leaves. */
  readonly made?: ReadonlyMap<Branch, Relation>
}

/** The rows of a branch, its functions run; undefined where it has none. */
export async function branchRows(
  run: FunctionRun,
  branch: Branch,
  sources: BranchSources,
): Promise<Relation | undefined> {
  const made = sources.made?.get(branch)
  if (made) return made
  const { from, steps } = branch
  if (from.is !== 'union') {
    const rows = sources.leaf(from)
    return rows && runSteps(run, rows, steps)
  }
  const inputs: (Relation | undefined)[] = []
  for (const input of from.branches) inputs.push(await branchRows(run, input, sources))
  const rows = unionRows(from, inputs)
  return rows && runSteps(run, rows, steps)
}

/** The largest parts of a branch whose rows are read from sources. */
export function partsOfSources(branch: Branch): readonly Branch[] {
  if (isOfSources(branch)) return [branch]
  return branch.from.is === 'union' ? branch.from.branches.flatMap(partsOfSources) : []
}
