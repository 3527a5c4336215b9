/**
 * The clock and chance enter through ports only: docs/internals/semantics.md promises that no answer depends on either,
 * and a simulation replays a run from its seed alone. This rule finds every other way in. `.oxlintrc.json` names the
 * files that are ports.
 */

const banned = {
  'Date.now': 'Take the time from the Clock port.',
  'performance.now': 'Take the time from the Clock port.',
  'process.hrtime': 'Take the time from the Clock port.',
  'Math.random': 'Take randomness from a port that can be seeded.',
}

const timers = new Set(['setTimeout', 'setInterval', 'setImmediate'])
const timerModules = new Set(['node:timers', 'node:timers/promises', 'timers', 'timers/promises'])

const ports = {
  create(context) {
    const report = (node, name, advice) =>
      context.report({ node, message: `${name} outside a port. ${advice} (Ports: see overrides in .oxlintrc.json.)` })
    const checkImport = node => {
      if (node.source && timerModules.has(node.source.value))
        report(node, node.source.value, 'Wait through the Clock port.')
    }
    return {
      MemberExpression(node) {
        if (node.object.type !== 'Identifier') return
        const property = node.computed ? node.property.value : node.property.name
        const name = `${node.object.name}.${property}`
        if (Object.hasOwn(banned, name)) report(node, name, banned[name])
        else if (node.object.name === 'globalThis' && timers.has(property))
          report(node, name, 'Wait through the Clock port.')
      },
      NewExpression(node) {
        if (node.callee.type === 'Identifier' && node.callee.name === 'Date' && node.arguments.length === 0)
          report(node, 'new Date()', 'Take the time from the Clock port.')
      },
      CallExpression(node) {
        if (node.callee.type !== 'Identifier') return
        if (node.callee.name === 'Date') report(node, 'Date()', 'Take the time from the Clock port.')
        if (timers.has(node.callee.name)) report(node, node.callee.name, 'Wait through the Clock port.')
      },
      ImportDeclaration: checkImport,
      ImportExpression: checkImport,
    }
  },
}

export default { meta: { name: 'millrace' }, rules: { ports } }
