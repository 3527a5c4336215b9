import { configError, MillraceError } from '../src/core/errors.ts'
import { oneOf } from '../src/core/option-kinds.ts'
import { type OptionTable, readCall } from '../src/core/options.ts'
import { type Operator, step } from '../src/plan/batches.ts'
import { type Json, sortedByName } from '../src/core/json.ts'
import { parseColumnType, type DeclaredColumns, type Plain, type PlainColumns } from '../src/core/types.ts'
import {
  defineLookup,
  type LookupDefinition,
  lookupJson,
  type LookupOptions,
  versionColumn,
} from '../src/plan/lookup.ts'
import { normalKey } from '../src/plan/normal-key.ts'
import { type ColumnTypes, inputColumn, wrap } from '../src/plan/relation.ts'
import { id } from '../src/plan/sql.ts'
import type { LookupStep } from '../src/plan/step.ts'
import { joinedColumns, joinKeys, type Names, onOption, onTold, type PlainNames, plainNames } from './join-columns.ts'

declare const lookedUp: unique symbol

/** A table to join rows with: what `lookup()` makes. */
export interface Lookup<out C, out K extends string> {
  readonly kind: 'millrace-lookup'
  readonly name: string
  readonly [lookedUp]?: readonly [C, K]
}

const definitions = new WeakMap<object, LookupDefinition>()

/** Columns that are NOT NULL. */
type KeyNames<C> = string extends keyof C
  ? string
  : { [N in keyof C & string]: Plain<C[N]> extends `${string} NOT NULL` ? N : never }[keyof C & string]

/**
 * A table that rows are joined with: zones, customers, prices of today. It lies in one object or in all objects of a
 * place, as Parquet, CSV or JSON.
 *
 *     const zones = lookup('zones', {
 *       objects: 's3://bucket/ref/taxi_zone_lookup.csv',
 *       format: csv(),
 *       columns: { LocationID: 'BIGINT NOT NULL', Zone: 'VARCHAR', Borough: 'VARCHAR' },
 *       key: ['LocationID'],
 *     })
 *     trips.pipe(join(zones, { on: { zone: 'LocationID' }, kind: 'left' }))
 *
 * When the objects change, the next version is read as a whole, and rows that are read from then on meet it. Each
 * version has its place in the ledger and lies in the checkpoint, so a replay gives each row what it met the first
 * time.
 *
 * A start is refused where the table cannot be had: an object is missing or cannot be read, a value does not fit, two
 * rows have one key. Later the last version goes on, and the log says why.
 *
 * @param name Names it in messages, in the plan and for `--input`; no source and no other lookup may have it.
 * @throws MillraceError `user` that names the field, the value and what was expected.
 */
export function lookup<const C extends DeclaredColumns, const K extends KeyNames<C>>(
  name: string,
  options: LookupOptions<C, K>,
): Lookup<PlainColumns<C>, K> {
  const made = { kind: 'millrace-lookup', name } as const
  definitions.set(made, defineLookup(name, options as never))
  return Object.freeze(made)
}

/** What is looked for in a lookup; undefined for anything else. */
export function lookupDefinition(value: unknown): LookupDefinition | undefined {
  return typeof value === 'object' && value !== null ? definitions.get(value) : undefined
}

/** Of a join with a lookup, as the plan has them. */
export interface LookupJoinSettings {
  readonly [name: string]: Json
  /** The lookup's own. */
  readonly lookup: Json
  /** Columns of the rows to those of the lookup that must be equal. */
  readonly on: PlainNames
  readonly kind: 'inner' | 'left'
}

/** Which row of a lookup belongs to a row. */
export interface LookupJoinOptions<On extends Names = Names, K extends 'inner' | 'left' = 'inner' | 'left'> {
  /** The lookup's key: columns of one name on both sides, or `{ own: 'lookup' }`. */
  readonly on: On
  /** `inner` gives rows that the lookup knows, `left` the others too, with NULL. Default: 'inner'. */
  readonly kind?: K
}

const lookupJoinOptions = {
  on: { ...onOption, about: "Columns that must be equal: the lookup's key." },
  kind: { kind: oneOf('inner', 'left'), default: 'inner', about: 'Which rows are given.' },
} satisfies OptionTable<LookupJoinOptions>

/** `join` where its other side is a lookup. */
export function lookupJoin(lookup: LookupDefinition, options: unknown): Operator<never, never> {
  for (const [name, value] of Object.entries((options ?? {}) as object))
    if (name === 'within' || name === 'window')
      throw configError(
        `join: ${name}`,
        value,
        `no ${name} here: lookup ${lookup.settings.name} has no time, and a row meets it as it is at the row's place ` +
          'in the ledger. For rows that belong to a time give the table a source of its own',
      )
  const { on, kind } = readCall('join', lookupJoinOptions, [], options)
  return step(lookupStep(lookup), {
    lookup: lookupJson(lookup),
    on: plainNames(on),
    kind,
  })
}

function lookupStep(lookup: LookupDefinition): LookupStep<LookupJoinSettings> {
  const { settings } = lookup
  const keysOf = (input: ColumnTypes, on: PlainNames) => joinKeys(on, input, settings.columns)
  return {
    is: 'lookup',
    op: 'join',
    tells: ({ on, kind }) => [`${kind}, on ${onTold(on)} of lookup ${settings.name}`],
    lookup,
    columns(input, { on, kind }) {
      checkKey(lookup, on)
      return joinedColumns(input, settings.columns, keysOf(input, on), kind)
    },
    canonical: ({ lookup: of, on, kind }) => ({ lookup: of, on: sortedByName(on), kind }),
    sql(input, { on, kind }, { sql, version }) {
      const equal = keysOf(input.columns, on).map(({ left, right, type }) => {
        const parsed = parseColumnType(type, left)
        return `${normalKey(inputColumn(left), parsed)} = ${normalKey(`_lookup.${id(right)}`, parsed)}`
      })
      const given = Object.keys(joinedColumns(input.columns, settings.columns, keysOf(input.columns, on), kind))
      const items = given.map(name => (Object.hasOwn(input.columns, name) ? inputColumn(name) : `_lookup.${id(name)}`))
      const conditions = [`_lookup.${versionColumn} = ${version}`, ...equal].join(' AND ')
      return wrap(input, items, `${kind === 'left' ? 'LEFT ' : ''}JOIN (${sql}) AS _lookup ON ${conditions}`)
    },
  }
}

/** One row of the lookup at most belongs to a row: `on` names its whole key, and nothing else. */
function checkKey({ settings, key }: LookupDefinition, on: PlainNames): void {
  const names = Object.values(on)
  const fail = (what: string) => {
    throw new MillraceError('user', 'plan', `join: on: ${what}`)
  }
  const stranger = names.find(name => !key.includes(name))
  if (stranger !== undefined)
    fail(
      `'${stranger}' is not part of the key of lookup ${settings.name}, ${key.join(', ')}; ` +
        `expected all columns of the key and no others, such as on: { own: '${key[0]}' }. ` +
        'Compare others in a where(...) behind the join.',
    )
  const missing = key.find(name => !names.includes(name))
  if (missing !== undefined)
    fail(
      `the key of lookup ${settings.name} is ${key.join(', ')}, and '${missing}' is not there; expected all of its ` +
        "columns, such as { own: 'other' } for each.",
    )
}
