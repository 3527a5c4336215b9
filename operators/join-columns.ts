import { isObservable } from 'rxjs'
import { configError, MillraceError } from '../src/core/errors.ts'
import { given, oneOf } from '../src/core/option-kinds.ts'
import { type Base, parseColumnType, type Show, type Wider } from '../src/core/types.ts'
import type { NoTime } from '../src/plan/batches.ts'
import type { ColumnTypes } from '../src/plan/relation.ts'
import { checkNewName, columnType } from './columns.ts'
import type { JoinKeys } from './crowded-keys.ts'
import type { JoinKind } from './joined-rows.ts'

// What all joins say of columns: which are equal, and which there are afterwards.

/** Columns that must be equal: those of one name on both sides, or `{ left: 'right' }`. */
export type Names = readonly string[] | Readonly<Record<string, string>>

/** The same as plain data: those of the left side to those of the right side. */
export type PlainNames = Readonly<Record<string, string>>

export const onOption = {
  kind: given<Names>("a list of columns such as ['id'], or of both sides such as { id: 'order_id' }", isOn),
  isRequired: true,
  about: 'Columns that must be equal.',
} as const

export const kindOption = {
  kind: oneOf('inner', 'left', 'right', 'full', 'semi', 'anti'),
  default: 'inner',
  about: 'Which rows are given.',
} as const

function isOn(value: unknown): boolean {
  if (typeof value !== 'object' || value === null) return false
  const names: readonly unknown[] = Object.values(value)
  const areTexts = names.length > 0 && names.every(name => typeof name === 'string')
  return areTexts && new Set(names).size === names.length
}

export function plainNames(on: Names): PlainNames {
  const plain = Array.isArray(on)
    ? Object.fromEntries((on as readonly string[]).map(name => [name, name]))
    : { ...(on as PlainNames) }
  if (Object.keys(plain).length === 0) throw configError('join: on', on, 'one column or more')
  return plain
}

/** 'zone = LocationID, day', as a person reads it. */
export function onTold(on: PlainNames): string {
  return Object.entries(on)
    .map(([own, other]) => (own === other ? own : `${own} = ${other}`))
    .join(', ')
}

/** The columns that are equal, with their common type. */
export function joinKeys(on: PlainNames, left: ColumnTypes, right: ColumnTypes): JoinKeys {
  return Object.entries(on).map(([own, other]) => ({
    left: own,
    right: other,
    type: keyType(own, other, left, right),
  }))
}

/** Values of two columns are compared as they are, so both have one type. */
function keyType(own: string, other: string, left: ColumnTypes, right: ColumnTypes): string {
  const [a, b] = [
    parseColumnType(columnType('join: on', own, left), own),
    parseColumnType(columnType('join: on, other side', other, right), other),
  ]
  if (a.sql === b.sql) return a.sql
  throw new MillraceError(
    'user',
    'plan',
    `join: on: '${own}' is ${a.sql} and '${other}' of the other side ${b.sql}; expected one type. ` +
      'Derive one of them in the type of the other.',
  )
}

/** The columns of a join's rows: those of `on` once, by their names on the left side. */
export function joinedColumns(left: ColumnTypes, right: ColumnTypes, keys: JoinKeys, kind: JoinKind): ColumnTypes {
  if (kind === 'semi' || kind === 'anti') return left
  const mayLack = (lacks: readonly JoinKind[], type: string) =>
    lacks.includes(kind) ? type.replace(/ NOT NULL$/, '') : type
  const ofLeft = Object.entries(left).map(([name, type]) => {
    const key = keys.find(({ left: own }) => own === name)
    // A row of the right side alone has the key all the same.
    const isThere = key && (right[key.right] ?? '').endsWith(' NOT NULL')
    return [name, isThere ? type : mayLack(['right', 'full'], type)] as const
  })
  const ofRight = Object.entries(right)
    .filter(([name]) => !keys.some(({ right: own }) => own === name))
    .map(([name, type]) => [name, mayLack(['left', 'full'], type)] as const)
  checkApart(ofRight.map(([name]) => name).filter(name => Object.hasOwn(left, name)))
  for (const [name] of ofRight) checkNewName('join', name, Object.keys(left))
  return Object.fromEntries([...ofLeft, ...ofRight])
}

/** Refuses names that both sides have. */
function checkApart(names: readonly string[]): void {
  const [first, ...others] = names
  if (first === undefined) return
  const all = names.map(name => `'${name}'`).join(', ')
  const which =
    others.length === 0
      ? `column ${all} is on both sides; give one of them another name`
      : `columns ${all} are on both sides; give those of one side other names`
  const renamed = names.map(name => `${name}: '...'`).join(', ')
  throw new MillraceError('user', 'plan', `join: ${which}: rename({ ${renamed} }).`)
}

/** Refuses what a newcomer may write in the place of options, with what was meant. */
export function checkAsked(options: unknown): void {
  if (isObservable(options))
    throw configError(
      'join',
      'two flows',
      'the other side and options, behind the left side: trips.pipe(join(payments, {...}))',
    )
  const on: unknown = (options as { readonly on?: unknown } | undefined)?.on
  if (typeof on === 'string') throw configError('join: on', on, `a list of columns: on: ['${on}']`)
}

type LeftOf<On> = On extends readonly (infer N)[] ? N : keyof On
type RightOf<On> = On extends readonly (infer N)[] ? N : On[keyof On]
type OtherName<On, N> = On extends readonly unknown[] ? N : N extends keyof On ? On[N] : never

/** The columns of a join's rows. */
export type Joined<C, B, On, K> = [K] extends ['semi' | 'anti']
  ? C
  : Show<
      {
        -readonly [N in keyof C]: [K] extends ['right' | 'full']
          ? N extends LeftOf<On>
            ? Wider<C[N], B[OtherName<On, N> & keyof B]>
            : Base<C[N]>
          : C[N]
      } & {
        -readonly [N in Exclude<keyof B, RightOf<On>>]: [K] extends ['left' | 'full'] ? Base<B[N]> : B[N]
      }
    >

type Clash<C, B, On> = Extract<Exclude<keyof B, RightOf<On>>, keyof C>

/** Nothing, or what is wrong with a lookup behind these columns. */
export type LooksUp<C, L, LK, On> = unknown extends C
  ? unknown
  : [Exclude<LeftOf<On>, keyof C>] extends [never]
    ? [Exclude<RightOf<On>, LK>] extends [never]
      ? [Exclude<LK, RightOf<On>>] extends [never]
        ? [Clash<C, L, On>] extends [never]
          ? unknown
          : `column "${Clash<C, L, On> & string}" is on both sides: rename one of them`
        : `on: "${Exclude<LK, RightOf<On>> & string}" of the lookup's key is missing`
      : `on: "${Exclude<RightOf<On>, LK> & string}" is not part of the lookup's key`
    : `on: no column "${Exclude<LeftOf<On>, keyof C> & string}"`

/** Nothing, or what is wrong with the other side. */
export type Meets<C, T, B, TB, On, K> = unknown extends C
  ? unknown
  : NoTime extends T | TB
    ? "join goes by the event times of both sides: name the column in source(...), such as time: 'at'"
    : [TB] extends [T]
      ? [Exclude<LeftOf<On>, keyof C>] extends [never]
        ? [Exclude<RightOf<On>, keyof B>] extends [never]
          ? [K] extends ['semi' | 'anti']
            ? unknown
            : [Clash<C, B, On>] extends [never]
              ? unknown
              : `column "${Clash<C, B, On> & string}" is on both sides: rename one of them`
          : `on: the other side has no column "${Exclude<RightOf<On>, keyof B> & string}"`
        : `on: no column "${Exclude<LeftOf<On>, keyof C> & string}"`
      : 'the event times of both sides must be of one type'
