import { formats } from '../../../connectors/registry.ts'
import { miniBatchOptions } from '../../plan/mini-batch-options.ts'
import { lookupOptions, type LookupDefinition } from '../../plan/lookup.ts'
import type { FormatConnector } from '../../plan/format.ts'
import type { SourceDefinition } from '../../plan/source-definition.ts'
import { sourceOptions } from '../../plan/source-options.ts'
import { type Bounds, formatSettings, type SourceSettings } from '../../plan/source-settings.ts'
import { id, text } from '../../plan/sql.ts'
import type { OptionTable } from '../../core/options.ts'
import { durationUs } from '../../core/duration.ts'
import { intervalOfUs, optionTexts, withText } from './options-text.ts'

/** `CREATE SOURCE` of a source. */
export function sourceText(definition: SourceDefinition): string {
  const { settings, policies, keys, live, objects, miniBatch, after } = definition
  const watermark =
    settings.time === undefined || settings.delayUs === undefined
      ? []
      : [`WATERMARK FOR ${id(settings.time)} AS ${id(settings.time)} - ${intervalOfUs(settings.delayUs)}`]
  const options = {
    objects,
    ...objectValues(settings),
    ...(settings.delayUs === undefined ? { time: settings.time } : {}),
    watermark: { bounds: boundsValue(settings.bounds), mark: settings.mark, idle: msText(live.idleMs) },
    late: settings.late && { retention: `${BigInt(settings.late.retentionUs) / 1_000n} ms` },
    rescue: settings.rescue,
    ...changed({ ...policies, rowBytesMax: undefined, hidden: keys.hidden, symlinks: keys.symlinks }, sourceOptions),
    ...suffixValue(definition),
    miniBatch: changed(miniBatch as Readonly<Record<string, unknown>>, miniBatchOptions),
    reconcile: live.reconcileMs === false ? false : msText(live.reconcileMs),
    ...(after.is === 'keep' ? {} : { after: after.is === 'move' ? { moveTo: after.to } : after.is }),
    ...(after.delayMs === 0 ? {} : { afterDelay: msText(after.delayMs) }),
  }
  const lines = [...columnTexts(settings), ...watermark]
  return (
    `CREATE SOURCE ${id(settings.name)} (\n  ` +
    `${lines.join(',\n  ')}\n)${withText(optionTexts(options, `source ${settings.name}`))};`
  )
}

/** `CREATE LOOKUP` of a lookup. */
export function lookupText(definition: LookupDefinition): string {
  const { settings, key, objects, keys, refreshMs } = definition
  const options = {
    objects,
    ...objectValues(settings),
    ...changed({ hidden: keys.hidden, symlinks: keys.symlinks }, lookupOptions),
    ...suffixValue(definition),
    ...(BigInt(refreshMs) * 1_000n === durationUs(lookupOptions.refresh.default, 'refresh')
      ? {}
      : { refresh: msText(refreshMs) }),
  }
  const lines = [...columnTexts(settings), `PRIMARY KEY (${key.map(id).join(', ')})`]
  return (
    `CREATE LOOKUP ${id(settings.name)} (\n  ` +
    `${lines.join(',\n  ')}\n)${withText(optionTexts(options, `lookup ${settings.name}`))};`
  )
}

function objectValues(settings: SourceSettings): Readonly<Record<string, unknown>> {
  return { format: settings.format, ...prefixed('format', formatOptions(settings)), keyPattern: settings.keyPattern }
}

function connectorOf(settings: SourceSettings): FormatConnector | undefined {
  return formats.find(({ kind }) => kind === settings.format)
}

/** The options of the format's call. Its settings may have more: the groups of a pattern. */
function formatOptions(settings: SourceSettings): Readonly<Record<string, unknown>> {
  const options = connectorOf(settings)?.options ?? {}
  return Object.fromEntries(Object.entries(formatSettings(settings)).filter(([name]) => Object.hasOwn(options, name)))
}

function prefixed(prefix: string, values: object): Readonly<Record<string, unknown>> {
  return Object.fromEntries(Object.entries(values).map(([name, value]) => [`${prefix}.${name}`, value]))
}

/** What is not as it is where nothing is said. */
function changed(values: Readonly<Record<string, unknown>>, table: OptionTable): Readonly<Record<string, unknown>> {
  return Object.fromEntries(
    Object.entries(values).filter(([name, value]) => value !== undefined && value !== table[name]?.default),
  )
}

/** Those that the format has by itself go without saying: whoever asks for the same gets the same. */
function suffixValue({ settings, keys: { suffixes } }: SourceDefinition | LookupDefinition): object {
  const own = connectorOf(settings)?.make?.(formatOptions(settings)).suffixes
  if (suffixes === undefined || JSON.stringify(suffixes) === JSON.stringify(own)) return {}
  return { suffix: suffixes.length === 1 ? suffixes[0] : suffixes }
}

function msText(ms: number | undefined): string | undefined {
  return ms === undefined ? undefined : `${ms} ms`
}

function boundsValue(bounds: Bounds | undefined): unknown {
  if (!bounds) return undefined
  return bounds.is === 'key' ? bounds.pattern : { lastModifiedSkew: `${BigInt(bounds.skewUs) / 1_000n} ms` }
}

function columnTexts({ columns, defaults = {}, from = {}, facts = {}, rescue }: SourceSettings): readonly string[] {
  return Object.entries(columns)
    .filter(([name]) => name !== rescue)
    .map(([name, type]) => {
      const missing = Object.hasOwn(defaults, name)
        ? ` DEFAULT ${defaults[name] === null ? 'NULL' : text(defaults[name] ?? '')}`
        : ''
      const origin = Object.hasOwn(facts, name)
        ? ` FROM ${facts[name]?.toUpperCase()}`
        : Object.hasOwn(from, name)
          ? ` FROM ${id(from[name] ?? '')}`
          : ''
      return `${id(name)} ${type}${missing}${origin}`
    })
}
