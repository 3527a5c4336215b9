/**
 * The layers of ARCHITECTURE.md as a table: a folder may import itself and what stands beside it, nothing else.
 * `src/core <- src/plan <- {operators, connectors} <- src/engine <- {src/cli, src/spark, src/status, src/testing}`;
 * checkpoints needs src/core only (merge SQL comes in as a string); a sink stages and
 * publishes with the checkpoint's care for objects, so connectors may use that.
 */
const layers = {
  'src/core': [],
  'src/plan': ['src/core'],
  operators: ['src/core', 'src/plan'],
  connectors: ['src/core', 'src/plan', 'checkpoints'],
  checkpoints: ['src/core'],
  'src/sql': ['src/core', 'src/plan', 'operators', 'connectors'],
  'src/engine': ['src/core', 'src/plan', 'operators', 'connectors', 'checkpoints', 'src/sql'],
  'src/status': ['src/core', 'src/plan', 'operators', 'connectors', 'checkpoints', 'src/engine'],
  'src/spark': ['src/core', 'src/plan', 'connectors', 'src/engine'],
  'src/testing': ['src/core', 'src/plan', 'operators', 'connectors', 'checkpoints', 'src/engine'],
  'src/cli': [
    'src/core',
    'src/plan',
    'operators',
    'connectors',
    'checkpoints',
    'src/engine',
    'src/spark',
    'src/status',
    'src/sql',
    'src/index.ts',
  ],
}

/**
 * The rooms of src/engine, each above those before it: one may import those, not those after it. What stands beside the
 * rooms (the entrances, and epoch.ts) may import them all; components.ts says which stores there are, and imports none.
 */
const rooms = [
  'duckdb',
  'read',
  'report',
  'state',
  'bind',
  'intake',
  'fold',
  'publish',
  'commit',
  'replay',
  'inspect',
  'infer',
]

const own = '^(src|operators|connectors|checkpoints)/'
const pattern = name => `^${name.replace('.', '[.]')}${name.endsWith('.ts') ? '$' : '/'}`

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...Object.entries(layers).map(([name, below]) => ({
      name: `layer ${name}`,
      comment: `${name} may import ${['itself', ...below].join(', ')}.`,
      severity: 'error',
      from: { path: pattern(name) },
      to: { path: own, pathNot: [name, ...below].map(pattern) },
    })),
    ...rooms.map((room, floor) => ({
      name: `room src/engine/${room}`,
      comment: `Of the engine it may import ${[...rooms.slice(0, floor + 1), 'components.ts'].join(', ')}.`,
      severity: 'error',
      from: { path: pattern(`src/engine/${room}`) },
      to: {
        path: '^src/engine/',
        pathNot: [...rooms.slice(0, floor + 1), 'components.ts'].map(name => pattern(`src/engine/${name}`)),
      },
    })),
    {
      name: 'every room has its floor',
      comment: 'A folder of src/engine stands in the list of rooms.',
      severity: 'error',
      from: {},
      to: { path: '^src/engine/[^/]+/', pathNot: rooms.map(room => pattern(`src/engine/${room}`)) },
    },
    {
      name: 'index without the command line',
      comment: 'src/index.ts is the library: the command line and the test harness are no part of it.',
      severity: 'error',
      from: { path: '^src/index[.]ts$' },
      to: { path: '^src/(cli|testing)/' },
    },
    {
      name: 'one executor',
      comment:
        'Operators describe, the engine executes: DuckDB is imported in src/engine/duckdb only ' +
        "(and to make the demo's data).",
      severity: 'error',
      from: { path: own, pathNot: '^src/(engine/duckdb|cli/demo)/' },
      to: { path: '(^|/)@duckdb/' },
    },
    {
      name: 'pure plan',
      comment: 'Plans and operators are text builders: they open no file or socket, start no process and never wait.',
      severity: 'error',
      from: { path: '^(src/plan|operators)/' },
      to: { dependencyTypes: ['core'], pathNot: '^(node:)?(async_hooks|crypto|buffer|util)$' },
    },
    {
      name: 'no tests in the product',
      severity: 'error',
      from: { path: own },
      to: { path: '^(test|bench|examples)/' },
    },
    {
      name: 'no cycles',
      comment: 'Imports of types count.',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    { name: 'resolvable', severity: 'error', from: {}, to: { couldNotResolve: true } },
    {
      name: 'declared',
      comment: 'The package installs its dependencies only: a devDependency is missing at the user.',
      severity: 'error',
      from: { path: own },
      to: { dependencyTypes: ['npm-dev', 'npm-no-pkg', 'npm-unknown'], dependencyTypesNot: ['type-only'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // Type imports count: a layer that needs another's types depends on it.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['types', 'import', 'node', 'default'] },
  },
}
