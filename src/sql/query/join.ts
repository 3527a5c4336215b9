import { join as joinOperator } from '../../../operators/join.ts'
import { sourcesOf } from '../../plan/node.ts'
import type { ColumnTypes } from '../../plan/relation.ts'
import type { Catalog, Named } from '../catalog.ts'
import { followed } from '../rows.ts'
import { type SqlFile, sqlError } from '../sql-error.ts'
import { closingOf, isName, isToken, splitAt, type Token } from '../tokens.ts'
import { type EventTime, eventTimeOf } from './event-time.ts'
import type { Input } from './input.ts'
import { type JoinBounds, readBound } from './join-bounds.ts'
import type { Join } from './parts.ts'
import { inputOf, type QueryContext } from './relation.ts'
import { type ColumnNow, columnOf, type Scope, scopeOf } from './scope.ts'

type Lookup = Extract<Named, { readonly is: 'lookup' }>

/** The rows of two sides, or of one with a lookup. */
export async function joined(context: QueryContext, left: Input, join: Join): Promise<Input> {
  const { catalog } = context
  const { right } = join
  const named =
    right.is === 'name'
      ? (context.named.get(right.name.value.toLowerCase()) ?? catalog.relations.get(right.name.value.toLowerCase()))
      : undefined
  if (named?.is === 'lookup') return withLookup(catalog, left, join, named)
  const other = await inputOf(context, right)
  if (left.window || other.window) return windowsJoined(catalog, left, other, join)
  const sides = { left: left.scope, right: other.scope }
  const times = {
    left: timeOfSide(catalog.file, join, 'left', left),
    right: timeOfSide(catalog.file, join, 'right', other),
  }
  const { equal, bounds } = conditionsOf(catalog, join, sides, times)
  if (bounds?.lo === undefined || bounds.hi === undefined)
    throw sqlError(
      catalog.file,
      join.at,
      'without bounds of time each row would wait for ever: the bound is missing; expected ' +
        "AND b.paid_at BETWEEN a.ordered_at - INTERVAL '10 minutes' AND a.ordered_at + INTERVAL '2 hours' " +
        'behind ON, with the columns of the event times.',
    )
  const within = [bounds.lo, bounds.hi]
  const options = { on: equal, within, ...(join.kind === 'inner' ? {} : { kind: join.kind }) }
  const rows = followed(left.rows, catalog.file, join.at, () =>
    joinOperator(other.rows.flow as never, options as never),
  )
  const isOneSided = join.kind === 'semi' || join.kind === 'anti'
  return { rows, scope: joinedScope(rows.node.columns, sides, equal, join), ...(isOneSided ? {} : { isJoined: true }) }
}

/** The event time of one side, which bounds go by. */
function timeOfSide(file: SqlFile, { at }: Join, side: string, { rows }: Input): EventTime {
  const time = eventTimeOf(rows.node)
  if (time.column !== undefined || time.source !== undefined) return time
  const timeless = sourcesOf(rows.node).find(source => source.time === undefined)
  throw sqlError(
    file,
    at,
    timeless
      ? `rows are joined by their event times, and source ${timeless.name} has none; expected WATERMARK FOR a column ` +
          `in its CREATE SOURCE, or a lookup in its place.`
      : `the event time of the ${side} side is no column of its rows, so no bound can name it; expected one source, ` +
          'or a union whose inputs call their times alike.',
  )
}

function withLookup(catalog: Catalog, left: Input, join: Join, { lookup, columns, name }: Lookup): Input {
  const right = scopeOf(columns, join.right.alias?.value ?? name)
  const { equal, bounds } = conditionsOf(
    catalog,
    join,
    { left: left.scope, right },
    { left: undefined, right: undefined },
  )
  if (bounds)
    throw sqlError(
      catalog.file,
      join.at,
      `${name} is a lookup and has no times; expected ON with the columns of its key alone.`,
    )
  if (join.kind !== 'inner' && join.kind !== 'left')
    throw sqlError(
      catalog.file,
      join.at,
      `rows are joined with a lookup, and not the other way; expected JOIN or LEFT JOIN ${name}.`,
    )
  const options = { on: equal, ...(join.kind === 'left' ? { kind: 'left' } : {}) }
  const rows = followed(left.rows, catalog.file, join.at, () => joinOperator(lookup as never, options as never))
  const scope = joinedScope(rows.node.columns, { left: left.scope, right }, equal, join)
  return { ...left, rows, scope, isJoined: true }
}

/** `TUMBLE(a, ...) x JOIN TUMBLE(b, ...) y ON x.id = y.id AND x.window_start = y.window_start AND ...` */
function windowsJoined(catalog: Catalog, left: Input, right: Input, join: Join): Input {
  const { file } = catalog
  const [a, b] = [left.window, right.window]
  if (!a || !b || a.function !== b.function || JSON.stringify(a.arguments) !== JSON.stringify(b.arguments))
    throw sqlError(
      file,
      join.at,
      `rows are joined with those of the same window; expected the same window on both sides, such as ` +
        `${(a ?? b)?.function.form}.`,
    )
  const withWindow = (scope: Scope): Scope => ({
    ...scope,
    relations: new Map(
      [...scope.relations].map(([name, columns]) => [
        name,
        new Map([...columns, ...['window_start', 'window_end'].map(each => [each, { name: each }] as const)]),
      ]),
    ),
  })
  const sides = { left: withWindow(left.scope), right: withWindow(right.scope) }
  const { equal, bounds } = conditionsOf(catalog, join, sides, { left: undefined, right: undefined })
  if (bounds)
    throw sqlError(file, join.at, 'rows of one window need no bounds of time; expected columns that are equal alone.')
  const isWindow = ([own, other]: readonly [string, string]) => own === other && /^window_(start|end)$/.test(own)
  const pairs = Object.entries(equal)
  const ends = pairs.filter(isWindow)
  if (ends.length === 0 || (a.function.needsEnd && !ends.some(([name]) => name === 'window_end')))
    throw sqlError(
      file,
      join.at,
      'rows would be joined with those of all windows: the bound is missing; expected AND a.window_start = ' +
        'b.window_start AND a.window_end = b.window_end.',
    )
  const on = Object.fromEntries(pairs.filter(pair => !isWindow(pair)))
  const options = { on, window: true, ...(join.kind === 'inner' ? {} : { kind: join.kind }) }
  const make = (input: Input) => followed(input.rows, file, a.at, () => a.function.make(a.arguments))
  const [one, two] = [make(left), make(right)]
  const rows = followed(one, file, join.at, () => joinOperator(two.flow as never, options as never))
  return {
    rows,
    scope: joinedScope(rows.node.columns, { left: sides.left, right: sides.right }, equal, join),
    isJoined: true,
  }
}

interface Sides<T> {
  readonly left: T
  readonly right: T
}

interface Conditions {
  /** Columns of the left side to those of the right one. */
  readonly equal: Readonly<Record<string, string>>
  readonly bounds?: JoinBounds
}

/** What ON or USING says: columns that are equal, and from where to where the times may lie. */
function conditionsOf(
  catalog: Catalog,
  { on, at }: Join,
  sides: Sides<Scope>,
  times: Sides<EventTime | undefined>,
): Conditions {
  const { file } = catalog
  if (on.is === 'using') {
    const names = splitAt(',', on.tokens).map(part => {
      const [own, other] = [columnOf(file, part, sides.left), columnOf(file, part, sides.right)]
      if (own === undefined || other === undefined)
        throw sqlError(
          file,
          part[0]?.from ?? at,
          `expected a column of both sides behind USING, found ${part.map(({ text }) => text).join('')}.`,
        )
      return [own, other] as const
    })
    return { equal: Object.fromEntries(names) }
  }
  const equal: Record<string, string> = {}
  let bounds: JoinBounds | undefined
  for (const part of conjunction(on.tokens)) {
    const bound = readBound(file, part, tokens => sideOf(catalog, tokens, sides, times))
    if (bound) {
      bounds = { lo: bound.lo ?? bounds?.lo, hi: bound.hi ?? bounds?.hi }
      continue
    }
    const [own, other] = equalOf(catalog, part, sides)
    if (Object.hasOwn(equal, own)) throw sqlError(file, part[0]?.from ?? at, `${own} is compared twice; expected once.`)
    equal[own] = other
  }
  return { equal, ...(bounds && { bounds }) }
}

/** The parts between AND, but for that of BETWEEN. Brackets around all of it are left out. */
function conjunction(given: readonly Token[]): readonly (readonly Token[])[] {
  const isInBrackets = isToken(given[0], '(') && closingOf(given, 0) === given.length - 1
  const tokens = isInBrackets ? given.slice(1, -1) : given
  const parts: Token[][] = [[]]
  let depth = 0
  let isBetween = false
  for (const token of tokens) {
    if (isToken(token, '(')) depth++
    if (isToken(token, ')')) depth--
    if (depth === 0 && isToken(token, 'BETWEEN')) isBetween = true
    if (depth === 0 && isToken(token, 'AND') && !isBetween) parts.push([])
    else {
      if (depth === 0 && isToken(token, 'AND')) isBetween = false
      parts.at(-1)?.push(token)
    }
  }
  return parts
}

/** The time of one side, where tokens name it. */
function sideOf(
  { file }: Catalog,
  tokens: readonly Token[],
  sides: Sides<Scope>,
  times: Sides<EventTime | undefined>,
): 'left' | 'right' | undefined {
  const found = (['left', 'right'] as const).filter(
    side => times[side] && isTime(file, tokens, sides[side], times[side]),
  )
  if (found.length === 2)
    throw sqlError(
      file,
      tokens[0]?.from ?? 0,
      'both sides have this column; expected the name of one of them before it, as in a.paid_at.',
    )
  return found[0]
}

function equalOf(
  { file }: Catalog,
  tokens: readonly Token[],
  { left, right }: Sides<Scope>,
): readonly [string, string] {
  const at = tokens[0]?.from ?? 0
  const sides = splitAt('=', tokens)
  const bad = (what: string) =>
    sqlError(
      file,
      at,
      `${what}; expected columns that are equal, such as a.id = b.id, and bounds of the event times, such as ` +
        `b.paid_at BETWEEN a.ordered_at - INTERVAL '10 minutes' AND a.ordered_at + INTERVAL '2 hours'. What ` +
        `else is asked belongs behind WHERE.`,
    )
  const [one, two] = sides
  if (sides.length !== 2 || !one || !two || !isName(one[0]) || !isName(two[0]))
    throw bad('this is no condition of a join')
  const [a, b, c, d] = [
    columnOf(file, one, left),
    columnOf(file, two, right),
    columnOf(file, two, left),
    columnOf(file, one, right),
  ]
  const isForward = a !== undefined && b !== undefined
  const isBackward = c !== undefined && d !== undefined
  if (isForward && isBackward) throw bad('both sides have these columns, so it is not clear which is which')
  if (isForward) return [a, b]
  if (isBackward) return [c, d]
  throw bad('one of these is no column of one side, and the other of the other')
}

/** Names behind a join: the columns that are equal are there once, by their names on the left side. */
function joinedScope(
  columns: ColumnTypes,
  { left, right }: Sides<Scope>,
  equal: Readonly<Record<string, string>>,
  { kind, on }: Join,
): Scope {
  if (kind === 'semi' || kind === 'anti') return { ...left, columns }
  const refusal = (name: string): ColumnNow => ({
    refused:
      `${name} is NULL where a ${kind === 'left' ? 'row of the left side' : 'row'} has no partner, and ` +
      `the join has the columns that are equal once; expected the column of the other side, or USING.`,
  })
  const isUsing = on.is === 'using'
  const now = new Map(
    Object.entries(equal).map(
      ([own, other]) =>
        [
          other.toLowerCase(),
          kind === 'inner' || kind === 'right' || isUsing ? { name: own } : refusal(other),
        ] as const,
    ),
  )
  const ofRight = (scope: ReadonlyMap<string, ColumnNow>) =>
    new Map([...scope].map(([key, value]) => [key, now.get(key) ?? value] as const))
  const ofLeft = (scope: ReadonlyMap<string, ColumnNow>) =>
    kind === 'inner' || kind === 'left' || isUsing
      ? scope
      : new Map(
          [...scope]
            .map(
              ([key, value]) =>
                [
                  'name' in value && Object.hasOwn(equal, value.name) ? [key, refusal(value.name)] : [key, value],
                ] as const,
            )
            .map(([entry]) => entry as [string, ColumnNow]),
        )
  const moved = [...now].filter(([key]) => !Object.keys(columns).some(name => name.toLowerCase() === key))
  return {
    columns,
    relations: new Map([
      ...[...left.relations].map(([name, own]) => [name, ofLeft(own)] as const),
      ...[...right.relations].map(([name, own]) => [name, ofRight(own)] as const),
    ]),
    renamed: new Map([...left.renamed, ...right.renamed, ...moved]),
  }
}

/** Whether tokens name the event time: its column, or behind the relation's name what the source calls it. */
function isTime(file: SqlFile, tokens: readonly Token[], scope: Scope, { column, source }: EventTime): boolean {
  const named = columnOf(file, tokens, scope)
  if (named !== undefined) return named === column
  const [relation, dot, name] = tokens
  const isOfSide = tokens.length === 3 && isToken(dot, '.') && scope.relations.has(relation?.value.toLowerCase() ?? '')
  return isOfSide && source !== undefined && name?.value.toLowerCase() === source.toLowerCase()
}
