/** Numbers as a person reads them. */

/** '1,234,567'. The first use of `toLocaleString` would take as long as a fifth of a start. */
export function showCount(count: number): string {
  return String(Math.round(count)).replaceAll(/\B(?=(?:\d{3})+$)/g, ',')
}

/** Made at its first use: it takes 12 ms, and most runs show no such number. */
let compact: Intl.NumberFormat | undefined

/** '12.3M', for a line that is short. */
export function showCompact(count: number): string {
  compact ??= new Intl.NumberFormat('en-US', { notation: 'compact', maximumFractionDigits: 1 })
  return compact.format(count)
}

/** '1 object', '2 objects'. */
export function showCounted(count: number, one: string, many = `${one}s`): string {
  return `${showCount(count)} ${count === 1 ? one : many}`
}

export function showBytes(bytes: number): string {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  // 999.95 would be shown as 1000.0.
  for (; bytes >= 999.95 && unit < units.length - 1; unit++) bytes /= 1000
  return `${bytes.toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`
}

export function showSeconds(seconds: number): string {
  if (seconds < 9.95) return `${seconds.toFixed(1)} s`
  const whole = Math.round(seconds)
  if (whole < 60) return `${whole} s`
  if (whole < 3600) return `${Math.floor(whole / 60)} min ${whole % 60} s`
  return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`
}

/** Rows in a second; a run too short to measure has none. */
export function showRate(rows: number, seconds: number, show = showCount): string {
  return seconds > 0 ? `${show(rows / seconds)} rows/s` : '- rows/s'
}
