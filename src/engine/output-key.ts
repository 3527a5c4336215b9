import type { ObjectStore } from '../core/ports.ts'

/** The name of an epoch's output, used once (P8). By name they stand in the order of their epochs. */
export function outputKey(epoch: number, flow: string, extension: string): string {
  return `${prefixOf(epoch)}-${flow}.${extension}`
}

const prefixOf = (epoch: number): string => `part-${String(epoch).padStart(8, '0')}`

/** Files that a flow has published in epochs after this one. Nothing is published before its commit, so HEAD went back (I1). */
export async function outputsBeyond(
  store: ObjectStore,
  flow: string,
  epoch: number,
): Promise<readonly { readonly key: string; readonly epoch: number }[]> {
  const found: { readonly key: string; readonly epoch: number }[] = []
  // '.' comes right after '-', so after all names of this epoch.
  for await (const { key } of store.list('part-', `${prefixOf(epoch)}.`)) {
    const name = parseOutputKey(key)
    if (name?.flow === flow && name.epoch > epoch) found.push({ key, epoch: name.epoch })
  }
  return found
}

/** Under which name `millrace sql` has the rows of a flow; those of an only flow are `output` too. */
export function outputView(flow: string): string {
  return `output_${flow.replaceAll('-', '_')}`
}

export function parseOutputKey(key: string): { readonly epoch: number; readonly flow: string } | undefined {
  const [, digits, flow] = /^part-(\d{8,})-(.+)\.[a-z]+$/.exec(key) ?? []
  return digits === undefined || flow === undefined ? undefined : { epoch: Number(digits), flow }
}
