/** Random expressions as trees, each with many ways to be written. */
import fc from 'fast-check'
import { seededRandom } from '../../src/testing/index.ts'

/** What the expressions read, in the case that it is declared in. */
export const columns = {
  amount: 'DOUBLE',
  Fare: 'DECIMAL(18,2)',
  n: 'BIGINT',
  zone: 'INTEGER',
  Kind: 'VARCHAR',
  ok: 'BOOLEAN',
  xs: 'BIGINT[]',
} as const

/** A few rows of these, with what arithmetic and comparisons tell apart. */
export const rowsSql = `SELECT * FROM (VALUES
  (0.1::DOUBLE, 0.10::DECIMAL(18,2), 1::BIGINT, 1::INTEGER, 'a', TRUE, [1, 2, 3]::BIGINT[]),
  (-2.5, 7.25, 3, 2, 'A', FALSE, [5]),
  (1e15, 123.45, 100000, -7, 'It''s', TRUE, []),
  (0.30000000000000004, 0.30, -4, 0, '', NULL, [2, NULL]),
  (NULL, NULL, NULL, NULL, NULL, FALSE, NULL)) AS r(amount, "Fare", n, zone, "Kind", ok, xs)`

export type Kind = 'number' | 'text' | 'truth'

export type Expression =
  | { readonly is: 'column'; readonly name: string }
  /** As SQL has it: 5, 5.0 and 5e0 have three types. */
  | { readonly is: 'number'; readonly digits: string }
  | { readonly is: 'text'; readonly text: string }
  | { readonly is: 'binary'; readonly sign: string; readonly of: readonly [Expression, Expression] }
  /** AND, OR: two or more. */
  | { readonly is: 'joined'; readonly by: 'AND' | 'OR'; readonly of: readonly Expression[] }
  | { readonly is: 'not'; readonly of: Expression }
  | { readonly is: 'null'; readonly not: boolean; readonly of: Expression }
  | { readonly is: 'in'; readonly of: Expression; readonly list: readonly Expression[] }
  | { readonly is: 'between'; readonly of: Expression; readonly from: Expression; readonly to: Expression }
  | { readonly is: 'case'; readonly when: Expression; readonly gives: Expression; readonly else: Expression }
  | { readonly is: 'cast'; readonly of: Expression; readonly type: string }
  | { readonly is: 'call'; readonly name: string; readonly of: readonly Expression[] }
  /** The sum of a list's items, each with this added. */
  | { readonly is: 'items'; readonly add: Expression }

const numbers: readonly string[] = [
  '0',
  '2',
  '7',
  '1000',
  '100000',
  '2.0',
  '7.00',
  '0.3',
  '100000.0',
  '2e0',
  '7e0',
  '3e-1',
  '1e5',
]
const texts: readonly string[] = ['a', 'A', 'It’s', "It's", ' a', '--', '/* a */', '2']
const types: readonly string[] = ['INTEGER', 'BIGINT', 'DOUBLE', 'DECIMAL(18,2)', 'DECIMAL(10,1)']
const comparisons: readonly string[] = ['=', '<>', '<', '<=', '>', '>=']

const node = <K extends Expression['is']>(is: K) => fc.constant(is)

/** Expressions of a kind, at most so deep. */
export function expressions(kind: Kind, depth = 3): fc.Arbitrary<Expression> {
  const of = (other: Kind) => expressions(other, depth - 1)
  const column = (...names: readonly string[]) => fc.record({ is: node('column'), name: fc.constantFrom(...names) })
  if (kind === 'text') {
    const leaf = fc.oneof(column('Kind'), fc.record({ is: node('text'), text: fc.constantFrom(...texts) }))
    if (depth === 0) return leaf
    return fc.oneof(
      leaf,
      fc.record({ is: node('call'), name: fc.constantFrom('lower', 'upper'), of: fc.tuple(of('text')) }),
      fc.record({ is: node('binary'), sign: fc.constant('||'), of: fc.tuple(of('text'), of('text')) }),
      fc.record({ is: node('cast'), of: of('number'), type: fc.constant('VARCHAR') }),
    )
  }
  if (kind === 'number') {
    const leaf = fc.oneof(
      column('amount', 'Fare', 'n', 'zone'),
      fc.record({ is: node('number'), digits: fc.constantFrom(...numbers) }),
    )
    if (depth === 0) return leaf
    return fc.oneof(
      leaf,
      fc.record({
        is: node('binary'),
        sign: fc.constantFrom('+', '-', '*', '/', '%'),
        of: fc.tuple(of('number'), of('number')),
      }),
      fc.record({ is: node('cast'), of: of('number'), type: fc.constantFrom(...types) }),
      fc.record({ is: node('call'), name: fc.constantFrom('abs', 'sign'), of: fc.tuple(of('number')) }),
      fc.record({ is: node('call'), name: fc.constant('coalesce'), of: fc.tuple(of('number'), of('number')) }),
      fc.record({ is: node('call'), name: fc.constant('length'), of: fc.tuple(of('text')) }),
      fc.record({ is: node('case'), when: of('truth'), gives: of('number'), else: of('number') }),
      fc.record({ is: node('items'), add: of('number') }),
    )
  }
  if (depth === 0) return column('ok')
  return fc.oneof(
    column('ok'),
    fc.record({ is: node('binary'), sign: fc.constantFrom(...comparisons), of: fc.tuple(of('number'), of('number')) }),
    fc.record({ is: node('binary'), sign: fc.constantFrom(...comparisons), of: fc.tuple(of('text'), of('text')) }),
    fc.record({
      is: node('joined'),
      by: fc.constantFrom('AND', 'OR'),
      of: fc.array(of('truth'), { minLength: 2, maxLength: 3 }),
    }),
    fc.record({ is: node('not'), of: of('truth') }),
    fc.record({ is: node('null'), not: fc.boolean(), of: of('number') }),
    fc.record({ is: node('in'), of: of('number'), list: fc.array(of('number'), { minLength: 1, maxLength: 3 }) }),
    fc.record({ is: node('between'), of: of('number'), from: of('number'), to: of('number') }),
  ) as fc.Arbitrary<Expression>
}

/** Names that stand for one type. */
const typeNames: Readonly<Record<string, readonly string[]>> = {
  INTEGER: ['INTEGER', 'int', 'Int4', 'SIGNED'],
  BIGINT: ['BIGINT', 'int8', 'LONG'],
  DOUBLE: ['DOUBLE', 'float8', 'double precision'],
  'DECIMAL(18,2)': ['DECIMAL(18,2)', 'numeric(18, 2)', 'DEC( 18,2 )'],
  'DECIMAL(10,1)': ['DECIMAL(10,1)', 'numeric(10, 1)'],
  VARCHAR: ['VARCHAR', 'text', 'String', 'CHAR'],
}

/** One way to write an expression, drawn by the seed. */
export function written(expression: Expression, seed: number): string {
  const random = seededRandom(seed)
  const pick = <T>(values: readonly T[]): T => values[Math.floor(random() * values.length)] as T
  const anyCase = (word: string) =>
    [...word].map(letter => (random() < 0.5 ? letter.toLowerCase() : letter.toUpperCase())).join('')
  const blank = () => pick([' ', ' ', '  ', '\n', '\t', " /* it's ( */ ", ' -- "so\n'])
  const maybe = () => (random() < 0.6 ? '' : blank())
  const words = (...all: readonly string[]) => all.join(blank())
  const keyword = (all: string) => words(...all.split(' ').map(anyCase))
  const named = (name: string) => (random() < 0.3 ? `"${anyCase(name)}"` : anyCase(name))
  const list = (all: readonly Expression[]) => all.map(of => `${maybe()}${whole(of)}${maybe()}`).join(',')
  /** An operand: in parentheses where it is more than a word, and at times where not. */
  const part = (of: Expression): string => {
    const isWord = ['column', 'text', 'call'].includes(of.is) || (of.is === 'number' && !of.digits.startsWith('-'))
    return isWord && random() < 0.8 ? whole(of) : `(${maybe()}${whole(of)}${maybe()})`
  }
  const number = (digits: string) => {
    if (digits.includes('e')) return digits.replace('e', pick(['e', 'E']))
    return digits === '1000' ? pick(['1000', '1_000']) : digits
  }

  function whole(of: Expression): string {
    switch (of.is) {
      case 'column':
        return named(of.name)
      case 'number':
        return number(of.digits)
      case 'text':
        return random() < 0.7 ? `'${of.text.replaceAll("'", "''")}'` : `$q$${of.text}$q$`
      case 'binary': {
        const sign = of.sign === '<>' ? pick(['<>', '!=']) : of.sign === '=' ? pick(['=', '==']) : of.sign
        return words(part(of.of[0]), sign, part(of.of[1]))
      }
      case 'joined': {
        // `a AND b AND c`, or with parentheses around any neighbours.
        const [first, ...rest] = of.of.map(part)
        if (rest.length === 2 && random() < 0.5)
          return words(String(first), anyCase(of.by), `(${words(String(rest[0]), anyCase(of.by), String(rest[1]))})`)
        return [first, ...rest].join(`${blank()}${anyCase(of.by)}${blank()}`)
      }
      case 'not':
        return words(anyCase('NOT'), part(of.of))
      case 'null':
        return words(part(of.of), keyword(of.not ? pick(['IS NOT NULL', 'NOTNULL']) : pick(['IS NULL', 'ISNULL'])))
      case 'in':
        return words(part(of.of), anyCase('IN'), `(${list(of.list)})`)
      case 'between':
        return words(part(of.of), anyCase('BETWEEN'), part(of.from), anyCase('AND'), part(of.to))
      case 'case': {
        const checks = [keyword('CASE WHEN'), whole(of.when), anyCase('THEN'), whole(of.gives)]
        return words(...checks, anyCase('ELSE'), whole(of.else), anyCase('END'))
      }
      case 'cast': {
        const type = pick(typeNames[of.type] ?? [])
        if (random() < 0.5) return `${part({ ...of.of })}${maybe()}::${maybe()}${type}`
        return `${anyCase('CAST')}(${maybe()}${words(whole(of.of), anyCase('AS'), type)}${maybe()})`
      }
      case 'call':
        // COALESCE is a word of SQL, in quotes it would be a function's name.
        return `${of.name !== 'coalesce' && random() < 0.2 ? `"${of.name}"` : anyCase(of.name)}${maybe()}(${list(of.of)})`
      case 'items': {
        const name = pick(['x', 'Item', '_v', 'n2'])
        const body = words(anyCase(name), '+', part(of.add))
        return `${anyCase('list_sum')}(list_transform(${named('xs')},${words('', anyCase('LAMBDA'), `${anyCase(name)}:`, body)}))`
      }
      default:
        return of satisfies never
    }
  }
  return whole(expression)
}

/** The same with one change somewhere, for each change that there is: most give other values, some do not. */
export function changed(expression: Expression): readonly Expression[] {
  const inside = (all: readonly Expression[], put: (all: readonly Expression[]) => Expression): readonly Expression[] =>
    all.flatMap((one, place) => changed(one).map(other => put(all.map((same, at) => (at === place ? other : same)))))
  switch (expression.is) {
    case 'column': {
      const like =
        [['amount', 'Fare', 'n', 'zone'], ['Kind'], ['ok']].find(names => names.includes(expression.name)) ?? []
      return like.filter(name => name !== expression.name).map(name => ({ ...expression, name }))
    }
    case 'number':
      return numbers.filter(digits => digits !== expression.digits).map(digits => ({ ...expression, digits }))
    case 'text':
      return texts.filter(text => text !== expression.text).map(text => ({ ...expression, text }))
    case 'binary': {
      const [a, b] = expression.of
      const like = [comparisons, ['+', '-', '*', '/', '%'], ['||']].find(signs => signs.includes(expression.sign)) ?? []
      // (a + b) + c is not a + (b + c), where numbers round.
      const regrouped: readonly Expression[] =
        a.is === 'binary' && like.includes(a.sign) ? [{ ...a, of: [a.of[0], { ...expression, of: [a.of[1], b] }] }] : []
      return [
        { ...expression, of: [b, a] },
        ...regrouped,
        ...like.filter(sign => sign !== expression.sign).map(sign => ({ ...expression, sign })),
        ...inside(expression.of, ([x, y]) => ({ ...expression, of: [x as Expression, y as Expression] })),
      ]
    }
    case 'joined':
      return [
        { ...expression, by: expression.by === 'AND' ? 'OR' : 'AND' },
        { ...expression, of: expression.of.toReversed() },
        {
          ...expression,
          of: [expression.of[0] as Expression, { ...expression, by: 'OR' as const, of: expression.of.slice(-2) }],
        },
        ...inside(expression.of, of => ({ ...expression, of })),
      ]
    case 'not':
      return [expression.of, ...inside([expression.of], ([of]) => ({ ...expression, of: of as Expression }))]
    case 'null':
      return [
        { ...expression, not: !expression.not },
        ...inside([expression.of], ([of]) => ({ ...expression, of: of as Expression })),
      ]
    case 'in':
      return [
        { ...expression, list: expression.list.slice(1).concat({ is: 'number', digits: '7' }) },
        ...inside([expression.of, ...expression.list], ([of, ...list]) => ({
          ...expression,
          of: of as Expression,
          list,
        })),
      ]
    case 'between':
      return [
        { ...expression, from: expression.to, to: expression.from },
        ...inside([expression.of, expression.from, expression.to], ([of, from, to]) => ({
          ...expression,
          of: of as Expression,
          from: from as Expression,
          to: to as Expression,
        })),
      ]
    case 'case':
      return [
        { ...expression, gives: expression.else, else: expression.gives },
        ...inside([expression.when, expression.gives, expression.else], ([when, gives, other]) => ({
          ...expression,
          when: when as Expression,
          gives: gives as Expression,
          else: other as Expression,
        })),
      ]
    case 'cast':
      return [
        expression.of,
        ...types
          .filter(type => type !== expression.type && expression.type !== 'VARCHAR')
          .map(type => ({ ...expression, type })),
        ...inside([expression.of], ([of]) => ({ ...expression, of: of as Expression })),
      ]
    case 'call': {
      const like =
        [
          ['abs', 'sign'],
          ['lower', 'upper'],
        ].find(names => names.includes(expression.name)) ?? []
      return [
        ...like.filter(name => name !== expression.name).map(name => ({ ...expression, name })),
        { ...expression, of: expression.of.toReversed() },
        ...inside(expression.of, of => ({ ...expression, of })),
      ]
    }
    case 'items':
      return inside([expression.add], ([add]) => ({ ...expression, add: add as Expression }))
    default:
      return expression satisfies never
  }
}
