const unitBytes = {
  kB: 1e3,
  MB: 1e6,
  GB: 1e9,
  TB: 1e12,
  KiB: 2 ** 10,
  MiB: 2 ** 20,
  GiB: 2 ** 30,
  TiB: 2 ** 40,
} as const

/** '128MB', '1.5 GB', '64MiB': so many bytes, in units of a thousand or of 1,024. */
export type Size = `${number}${'' | ' '}${keyof typeof unitBytes}`

/** What messages say that a size is. */
export const sizeForms = "a size above zero, such as '500kB', '128MB', '1.5 GB' or '64MiB'"

/** Bytes of a size; undefined for text that is none. */
export function parseSizeBytes(value: string): number | undefined {
  const [, amount = '', unit = ''] = /^(\d+(?:\.\d+)?) ?([A-Za-z]+)$/.exec(value) ?? []
  if (!Object.hasOwn(unitBytes, unit)) return undefined
  const bytes = Math.round(Number(amount) * unitBytes[unit as keyof typeof unitBytes])
  return bytes > 0 && Number.isSafeInteger(bytes) ? bytes : undefined
}
