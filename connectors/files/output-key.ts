import { outputPrefix } from '../../checkpoints/paths.ts'
import type { ObjectStore } from '../../src/core/ports.ts'

/**
 * The name of a file of an epoch's output, used once (P8). By name they stand in the order of their epochs.
 *
 * @param index of the file, where the epoch has several: `part-00000001-flow-1.parquet`,
 * `part-00000001-flow-1.1.parquet`
 */
export function outputKey(epoch: number, flow: string, extension: string, index = 0): string {
  return `${prefixOf(epoch)}-${flow}${index === 0 ? '' : `.${index}`}.${extension}`
}

const prefixOf = (epoch: number): string => `part-${String(epoch).padStart(8, '0')}`

/**
 * Files that a flow has published in epochs after this one. Nothing is published before its commit, so HEAD went back
 * (I1).
 *
 * @param isParted whether they lie in folders, which all have to be listed
 */
export async function outputsBeyond(
  store: ObjectStore,
  flow: string,
  epoch: number,
  isParted: boolean,
): Promise<readonly { readonly key: string; readonly epoch: number }[]> {
  const found: { readonly key: string; readonly epoch: number }[] = []
  // '.' comes right after '-', so after all names of this epoch.
  const all = isParted ? store.list('') : store.list('part-', `${prefixOf(epoch)}.`)
  for await (const { key } of all) {
    if (key.startsWith(outputPrefix)) continue
    const name = parseOutputKey(key)
    if (name?.flow === flow && name.epoch > epoch) found.push({ key, epoch: name.epoch })
  }
  return found
}

/** Of a key in whatever folder. */
export function parseOutputKey(key: string): { readonly epoch: number; readonly flow: string } | undefined {
  const [, digits, flow] = /^(?:.*\/)?part-(\d{8,})-([^.]+)(?:\.\d+)?(?:\.[a-z]+){1,2}$/s.exec(key) ?? []
  return digits === undefined || flow === undefined ? undefined : { epoch: Number(digits), flow }
}
