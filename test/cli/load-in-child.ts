import { loadPipeline } from '../../src/cli/load-pipeline.ts'

// A file and no `node -e`, which defines `module` and `require` for every module.
const told = await loadPipeline(process.argv[2] as string).then(
  pipeline => ({ name: pipeline.name }),
  error => ({ error: error.message, kind: error.kind }),
)
console.log(JSON.stringify(told))
