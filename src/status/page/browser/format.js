/** Numbers and times as a person reads them. */

const whole = new Intl.NumberFormat('en-US', { maximumFractionDigits: 0 })

/** '1,234,567'. @param {number} count */
export function showCount(count) {
  return whole.format(count)
}

/** '1 row', '2 rows'. @param {number} count @param {string} one */
export function showCounted(count, one) {
  return `${showCount(count)} ${one}${count === 1 ? '' : 's'}`
}

/** @param {number} bytes */
export function showBytes(bytes) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB']
  let unit = 0
  for (; bytes >= 999.95 && unit < units.length - 1; unit++) bytes /= 1000
  return `${bytes.toFixed(unit === 0 ? 0 : 1)} ${units[unit]}`
}

/** As exact as it has to be: '12.40', '0.0052'. The currency is that of the prices. @param {number} price */
export function showPrice(price) {
  return price === 0 || price >= 1 ? price.toFixed(2) : String(Number(price.toPrecision(2)))
}

/** @param {number} ms */
export function showDuration(ms) {
  if (ms < 995) return `${Math.round(ms)} ms`
  const seconds = ms / 1000
  if (seconds < 59.95) return `${seconds.toFixed(1)} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return `${minutes} min`
  if (minutes < 60 * 48) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
  return `${Math.floor(minutes / 60 / 24)} days`
}

/** An event time, in UTC: '2024-03-01 08:00'. @param {number} ms */
export function showTime(ms) {
  if (Math.abs(ms) > 8.64e15) return `${ms} ms since 1970`
  const text = new Date(ms).toISOString().replace('T', ' ').replace('Z', '')
  return text.endsWith(':00.000') ? text.slice(0, -7) : text.endsWith('.000') ? text.slice(0, -4) : text
}

/** A time of day where the reader is. @param {number} ms */
export function showClock(ms) {
  return new Date(ms).toLocaleTimeString()
}
