/** Checks the layers and fails when a source file was not looked at: a cruise of 0 modules would pass every rule. */
import { existsSync, globSync } from 'node:fs'
import { cruise } from 'dependency-cruiser'
import extractTSConfig from 'dependency-cruiser/config-utl/extract-ts-config'
import configuration from '../.dependency-cruiser.js'

const roots = ['src', 'operators', 'connectors', 'checkpoints'].filter(root => existsSync(root))
const files = roots.flatMap(root => globSync(`${root}/**/*.ts`))

const { output, exitCode } = await cruise(
  roots,
  { ...configuration.options, ruleSet: { forbidden: configuration.forbidden }, validate: true, outputType: 'json' },
  undefined,
  { tsConfig: extractTSConfig('tsconfig.json') },
)
if (typeof output !== 'string') throw new TypeError('dependency-cruiser gave no JSON')
const result = JSON.parse(output) as {
  modules: { source: string }[]
  summary: { totalDependenciesCruised: number; violations: { from: string; to: string; rule: { name: string } }[] }
}

const seen = new Set(result.modules.map(module => module.source))
const missed = files.filter(file => !seen.has(file))
for (const { rule, from, to } of result.summary.violations) console.error(`${rule.name}: ${from} -> ${to}`)
for (const file of missed) console.error(`not cruised: ${file}`)

const bad = result.summary.violations.length + missed.length
console.log(`layers: ${files.length} files, ${result.summary.totalDependenciesCruised} imports, ${bad} problems`)
if (files.length === 0) console.error('layers: nothing was cruised')
process.exitCode = exitCode !== 0 || bad > 0 || files.length === 0 ? 1 : 0
