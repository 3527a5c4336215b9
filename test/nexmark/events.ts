/**
 * Events of Nexmark's online auction, drawn from the published description of the benchmark (Tucker, Tufte, Papadimos, Maier:
 * NEXMark, 2008; Apache Beam's and nexmark/nexmark's configurations) by hashes of the event's number and a seed: the same
 * rows at every run.
 */
import { seed } from '../seed.ts'

export interface NexmarkOptions {
  readonly events: number
  /** Events in one second of event time. */
  readonly perSecond: number
  /** Time of the first event. Default '2024-01-01 00:00:00'. */
  readonly from?: string
  /** So many events in a row come in another order than that of their times. Not a multiple of 953. Default 1. */
  readonly outOfOrder?: number
  /** A tenth of the events are up to so many seconds old when they come. Default 3. */
  readonly delayedSeconds?: number
}

export const nexmarkColumns = {
  person: {
    id: 'BIGINT NOT NULL',
    name: 'VARCHAR',
    email_address: 'VARCHAR',
    credit_card: 'VARCHAR',
    city: 'VARCHAR',
    state: 'VARCHAR',
    date_time: 'TIMESTAMP NOT NULL',
    extra: 'VARCHAR',
  },
  auction: {
    id: 'BIGINT NOT NULL',
    item_name: 'VARCHAR',
    description: 'VARCHAR',
    initial_bid: 'BIGINT NOT NULL',
    reserve: 'BIGINT NOT NULL',
    date_time: 'TIMESTAMP NOT NULL',
    expires: 'TIMESTAMP NOT NULL',
    seller: 'BIGINT NOT NULL',
    category: 'BIGINT NOT NULL',
    extra: 'VARCHAR',
  },
  bid: {
    auction: 'BIGINT NOT NULL',
    bidder: 'BIGINT NOT NULL',
    price: 'BIGINT NOT NULL',
    channel: 'VARCHAR',
    url: 'VARCHAR',
    date_time: 'TIMESTAMP NOT NULL',
    extra: 'VARCHAR',
  },
} as const

export type NexmarkStream = keyof typeof nexmarkColumns

/** Of fifty events one is a person, the next three are auctions, the others bids. */
const [inRound, people, auctions] = [50, 1, 3]
/** Ids begin here, categories at 10. */
const firstId = 1000
/** Of so many people or auctions one is hot: the one that most bids are for, that most bids are of. */
const hotOf = 100
/** Auctions that bids may be for, and people who may bid, besides the hot ones. */
const [inFlight, active] = [100, 1000]
/** Ids that no event has yet: a bid may come before its auction. */
const lead = 10

/** A whole number from 0 to `n` - 1, or of all 64 bits. Each use has a salt of its own. */
const drawn = (salt: number, n?: number | string) =>
  n === undefined ? `hash(number, ${salt}, ${seed})` : `CAST(hash(number, ${salt}, ${seed}) % (${n}) AS BIGINT)`
const oneOf = (salt: number, values: string) => {
  const list = values.split(',')
  return `['${list.join("', '")}'][1 + ${drawn(salt, list.length)}]`
}
/** From 100 to 100 million cents, as many of each order of magnitude. */
const price = (salt: number) => `CAST(round(pow(10, ${drawn(salt)} / 18446744073709551616 * 6) * 100) AS BIGINT)`
/** Letters, as many as to bring the row to this size on average, a fifth more or fewer. */
const extra = (salt: number, average: number) => {
  const letters = Array.from({ length: Math.ceil((average * 1.2) / 32) }, (_, i) => `md5(${drawn(salt + i)}::VARCHAR)`)
  const text = `translate(${letters.join(' || ')}, '0123456789', 'ghijklmnop')`
  return `left(${text}, ${Math.floor(average * 0.8)} + ${drawn(salt + 90, Math.ceil(average * 0.4))})`
}

const lastPerson = `number // ${inRound}`
const someone = (salt: number) => {
  const known = `least(${lastPerson} + 1, ${active})`
  return `${lastPerson} + 1 - ${known} + ${drawn(salt, `${known} + ${lead}`)}`
}

const items: Readonly<Record<NexmarkStream, { readonly is: string; readonly columns: string }>> = {
  person: {
    is: `number % ${inRound} < ${people}`,
    columns: `${firstId} + ${lastPerson} AS id,
      ${oneOf(1, 'Peter,Paul,Luke,John,Saul,Vicky,Kate,Julie,Sarah,Deiter,Walter')} || ' ' ||
        ${oneOf(2, 'Shultz,Abrams,Spencer,White,Bartels,Walton,Smith,Jones,Noris')} AS name,
      ${extra(100, 6)} || '@' || ${extra(200, 5)} || '.com' AS email_address,
      format('{:04d} {:04d} {:04d} {:04d}', ${[3, 4, 5, 6].map(salt => drawn(salt, 10_000)).join(', ')}) AS credit_card,
      ${oneOf(7, 'Phoenix,Los Angeles,San Francisco,Boise,Portland,Bend,Redmond,Seattle,Kent,Cheyenne')} AS city,
      ${oneOf(8, 'AZ,CA,ID,OR,WA,WY')} AS state, date_time, ${extra(300, 120)} AS extra`,
  },
  auction: {
    is: `number % ${inRound} BETWEEN ${people} AND ${people + auctions - 1}`,
    columns: `${firstId} + number // ${inRound} * ${auctions} + number % ${inRound} - ${people} AS id,
      ${extra(400, 12)} AS item_name, ${extra(500, 50)} AS description, ${price(11)} AS initial_bid,
      ${price(11)} + ${price(12)} AS reserve, date_time,
      date_time + to_microseconds(1000 * (1 + ${drawn(13, `2 * ${Math.floor((inFlight * inRound) / auctions)}`)} * step_us // 1000)) AS expires,
      ${firstId} + CASE WHEN ${drawn(14, 4)} > 0 THEN ${lastPerson} // ${hotOf} * ${hotOf} ELSE ${someone(15)} END AS seller,
      10 + ${drawn(16, 5)} AS category, ${extra(600, 400)} AS extra`,
  },
  bid: {
    is: `number % ${inRound} >= ${people + auctions}`,
    columns: `${firstId} + CASE WHEN ${drawn(21, 2)} > 0 THEN last_auction // ${hotOf} * ${hotOf} ELSE first_auction + ${drawn(22, `last_auction - first_auction + 1 + ${lead}`)} END AS auction,
      ${firstId} + CASE WHEN ${drawn(23, 4)} > 0 THEN ${lastPerson} // ${hotOf} * ${hotOf} + 1 ELSE ${someone(24)} END AS bidder,
      ${price(25)} AS price,
      CASE WHEN ${drawn(26, 2)} > 0 THEN ${oneOf(27, 'Google,Facebook,Baidu,Apple')} ELSE 'channel-' || ${drawn(28, 10_000)} END AS channel,
      'https://www.nexmark.com/' || ${extra(700, 4)} || '/' || ${extra(800, 4)} || '/item.htm?query=1' ||
        CASE WHEN ${drawn(29, 2)} > 0 THEN '&channel_id=' || ${drawn(28, 10_000)} ELSE '' END AS url,
      date_time, ${extra(900, 68)} AS extra`,
  },
}

/** The rows of one stream among the events from one number to before another, in the order in which they come, as SQL. */
export function nexmarkRows(stream: NexmarkStream, options: NexmarkOptions, from: number, to: number): string {
  const { perSecond, from: first = '2024-01-01 00:00:00', outOfOrder = 1, delayedSeconds = 3 } = options
  const { is, columns } = items[stream]
  const stepUs = Math.round(1e6 / perSecond)
  const old =
    delayedSeconds === 0
      ? '0'
      : `CASE WHEN ${drawn(31, 10)} = 0 THEN ${drawn(32, delayedSeconds * 1000)} * 1000 ELSE 0 END`
  // Published times are whole milliseconds.
  return `SELECT ${columns} FROM (
    SELECT number, ${stepUs} AS step_us, number // ${inRound} * ${auctions} + ${auctions - 1} AS last_auction,
      greatest(last_auction - ${inFlight}, 0) AS first_auction,
      TIMESTAMP '${first}' + to_microseconds((number // ${outOfOrder} * ${outOfOrder} + number * 953 % ${outOfOrder}) * ${stepUs} // 1000 * 1000 - ${old}) AS date_time
    FROM range(${from}, ${to}) AS r(number) WHERE ${is}) ORDER BY number`
}
