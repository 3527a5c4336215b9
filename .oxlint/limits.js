/**
 * Lines wrap, and what is switched off says why.
 *
 * `line-length`: the formatter breaks code, but no text: SQL, messages and comments wrap by hand. Where a line is as
 * long as it is because of a regular expression, or stands in a text of several lines that is shown as it is, it may
 * stay.
 *
 * `reasons`: `oxlint-disable-next-line rule -- why`.
 */

const lengthMax = 120

const lineLength = {
  create(context) {
    const free = new Set()
    const leave = node => {
      for (let line = node.loc.start.line; line <= node.loc.end.line; line++) free.add(line)
    }
    return {
      Literal(node) {
        if (node.regex) leave(node)
      },
      TemplateLiteral(node) {
        if (node.loc.start.line < node.loc.end.line) leave(node)
      },
      'Program:exit'(program) {
        for (const [n, text] of context.sourceCode.lines.entries()) {
          if (text.length <= lengthMax || free.has(n + 1)) continue
          context.report({
            node: program,
            loc: { start: { line: n + 1, column: lengthMax }, end: { line: n + 1, column: text.length } },
            message: `This line has ${text.length} characters; text wraps at ${lengthMax}.`,
          })
        }
      },
    }
  },
}

const reasons = {
  create(context) {
    return {
      Program() {
        for (const comment of context.sourceCode.getAllComments()) {
          if (!/^\s*(oxlint|eslint)-disable/.test(comment.value) || /\s--\s+\S/.test(comment.value)) continue
          context.report({ node: comment, message: "Say why: 'oxlint-disable-next-line rule -- why'." })
        }
      },
    }
  },
}

export default { meta: { name: 'limits' }, rules: { 'line-length': lineLength, reasons } }
