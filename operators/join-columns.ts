import { MillraceError } from '../src/core/errors.ts'
import { parseColumnType } from '../src/core/types.ts'
import type { ColumnTypes } from '../src/plan/relation.ts'
import { checkNewName, columnType } from './columns.ts'
import type { IntervalJoin, JoinKind } from './joined-rows.ts'

/** Values of two columns are compared as they are, so both have one type. */
export function keyType(own: string, other: string, left: ColumnTypes, right: ColumnTypes): string {
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

/**
 * The columns of what a join gives: those of the left side, then those of the right side but for its keys.
 *
 * @throws MillraceError `user` for a name that is on both sides
 */
export function joinedColumns(
  left: ColumnTypes,
  right: ColumnTypes,
  keys: IntervalJoin['keys'],
  kind: JoinKind,
): ColumnTypes {
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
  for (const [name] of ofRight) {
    if (Object.hasOwn(left, name))
      throw new MillraceError(
        'user',
        'plan',
        `join: column '${name}' is on both sides; give one of them another name: rename({ ${name}: '...' }).`,
      )
    checkNewName('join', name, Object.keys(left))
  }
  return Object.fromEntries([...ofLeft, ...ofRight])
}
