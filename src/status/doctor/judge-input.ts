import { about, type Finding } from '../../core/finding.ts'
import type { ObjectVersion } from '../../core/object-version.ts'
import { showDuration } from '../../core/duration.ts'
import { showBytes, showCount, showCounted } from '../../core/quantity.ts'
import { nullColumnsText } from '../../engine/read/never-seen.ts'
import type { Tried } from '../../engine/read/try-object.ts'
import { countOf, type IgnoredKeys, ignoredText } from '../../engine/report/ignored-keys.ts'
import type { Totals } from '../../engine/report/summary.ts'
import type { KeptForLate, KeptSize } from '../../engine/state/retentions.ts'
import { isEveryWithoutPeriod, withoutPeriodText } from '../../engine/report/without-period.ts'
import { keyPeriod } from '../../plan/key-period.ts'
import type { Terminal } from '../../plan/mini-batch.ts'
import { chain } from '../../plan/node.ts'
import { flowName } from '../../plan/plan-ids.ts'
import type { SourceDefinition } from '../../plan/source-definition.ts'
import type { SourceSettings } from '../../plan/source-settings.ts'

/** State that no watermark frees. */
export function judgeEndless(terminals: readonly Terminal[]): readonly Finding[] {
  return terminals.flatMap(({ node, emit }, index) => {
    const endless = chain(node).find(({ step }) => step.is === 'window' && step.isEndless)
    if (!endless) return []
    const keeps = `${flowName(index)}: ${endless.op}() keeps state of every group that ever was`
    const what = emit === 'update' ? keeps : `${keeps}, and gives results only when backfill --final ends the stream`
    return [about('state')('warning', what)]
  })
}

/** What it costs that late rows can be applied, by what is there; nothing before the first epoch. */
export function judgeRetention(kept: readonly KeptForLate[]): readonly Finding[] {
  const size = ({ rows, bytes }: KeptSize) => `${showCounted(rows, 'row')}, ${showBytes(bytes)}`
  return kept.map(({ flows, step, retentionUs, state, late }) => {
    const retention = showDuration(retentionUs)
    return about('state')(
      'ok',
      `${flows.join(', ')}, step ${step}: late: { retention } keeps the state of windows for ${retention} ` +
        `after their end. The checkpoint has ${size(state)} of state, open windows among them, ` +
        `and ${size(late)} in the late ledger`,
    )
  })
}

/** One row of a far future closes every window before it, unless bounds keep it from that (S3). */
export function judgeWatermark({ delayUs, bounds }: SourceSettings): readonly Finding[] {
  const judge = about('watermark')
  if (delayUs === undefined)
    return [
      judge(
        'warning',
        'the source has no watermark: no window closes while a run follows, only at the end of a backfill',
      ),
    ]
  if (bounds === undefined)
    return [
      judge(
        'warning',
        'the watermark has no bounds: one row stamped far ahead makes all later rows late. ' +
          'Name the period of the keys, or { lastModifiedSkew }',
      ),
    ]
  return [judge('ok', 'the watermark has bounds')]
}

/** Whether the pattern of `bounds` fits the keys that are there. */
export function judgePeriods(
  { name: source, bounds }: SourceSettings,
  objects: readonly Pick<ObjectVersion, 'key'>[],
): readonly Finding[] {
  if (bounds?.is !== 'key' || objects.length === 0) return []
  const periodOf = keyPeriod(bounds.pattern, 'bounds')
  const unfit = objects.filter(({ key }) => periodOf(key) === undefined)
  const [first] = unfit
  const judge = about('watermark')
  if (!first)
    return [judge('ok', `bounds '${bounds.pattern}' fits the names of all ${showCounted(objects.length, 'object')}`)]
  const found = { source, pattern: bounds.pattern, of: objects.length, count: unfit.length, first: first.key }
  return [judge(isEveryWithoutPeriod(found) ? 'problem' : 'warning', withoutPeriodText(found))]
}

export function judgeOverwriting(
  { policies }: SourceDefinition,
  [first, ...more]: readonly ObjectVersion[],
): readonly Finding[] {
  if (!first || policies.overwrite === 'append') return []
  const which =
    more.length === 0
      ? `object '${first.key}' is another version`
      : `${showCounted(more.length + 1, 'object')}, '${first.key}' the first, are other versions`
  return [
    about('input')(
      'warning',
      `${which} of what was counted before, and would be quarantined: ` +
        `bring the counted version back (a copy needs its time: cp -p), or set overwrite to 'append'`,
    ),
  ]
}

export function judgeObject(
  source: string,
  object: string,
  { outcome, reason, rows, quarantinedRows, nullColumns, firstAside }: Tried,
): Finding {
  const judge = about('input')
  if (outcome !== 'read')
    return judge(
      'problem',
      `${object}, would be ${outcome}: ${reason?.replace(/\.$/, '')}. ` +
        'Are format and columns right, and is it one of the objects that are meant?',
    )
  if (quarantinedRows > 0)
    return judge(
      quarantinedRows === rows ? 'problem' : 'warning',
      `${object}, would have ${showCount(quarantinedRows)} of ${showCounted(rows, 'row')} set aside; the first: ` +
        `${firstAside}`,
    )
  if (nullColumns.length > 0)
    return judge('warning', nullColumnsText(source, nullColumns, `all ${showCounted(rows, 'row')} of ${object}`))
  return judge('ok', `${object}, has ${showCounted(rows, 'row')}, every column as it is declared`)
}

export interface SeenInput {
  readonly matched: number
  /** Of them, those that the checkpoint has not counted; absent where there is none. */
  readonly fresh?: number
  readonly ignored: IgnoredKeys
  readonly isCut: boolean
}

export function judgeInput({ matched, fresh, ignored, isCut }: SeenInput, suffixes: readonly string[]): Finding {
  const judge = about('input')
  const least = isCut ? 'at least ' : ''
  const passed = countOf(ignored)
  if (matched > 0)
    return judge(
      'ok',
      `${least}${showCounted(matched, 'object')} ` +
        (fresh === undefined ? 'to read' : `there, ${fresh === 0 ? 'none' : showCount(fresh)} of them new`) +
        (passed > 0 ? `; ignored: ${least}${ignoredText(ignored)}` : ''),
    )
  if (passed > 0)
    return judge(
      'problem',
      `none of the objects there would be read: ${least}${ignoredText(ignored)}.` +
        (ignored.hidden ? ` A name that begins with '_' or '.' is hidden: hidden: 'read' reads such objects.` : '') +
        (ignored.symlink ? ` symlinks: 'follow' reads what symbolic links lead to.` : '') +
        (ignored.suffix && !suffixes.includes('')
          ? ` The source reads what ends in ${suffixes.join(', ')}: ` +
            `is the format right? suffix: '' reads what ends in anything.`
          : ''),
    )
  return judge('warning', 'it can be listed, and nothing lies there yet')
}

/** What is set aside as the ledger stands. What was skipped on purpose is no news. */
export function judgeSetAside({ quarantined, gone, suspect }: Totals): readonly Finding[] {
  const counts = Object.entries({ quarantined, gone, suspect }).filter(([, count]) => count > 0)
  if (counts.length === 0) return []
  const objects = showCounted(quarantined + gone + suspect, 'object')
  const which = counts.map(([outcome, count]) => `${showCount(count)} ${outcome}`).join(', ')
  return [
    about('checkpoint')(
      'warning',
      `${objects} set aside (${which}), of which nothing counts: ` +
        `'millrace inspect' names them, and once they can be read 'millrace retry' has the next run read them`,
    ),
  ]
}
