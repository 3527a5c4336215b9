/**
 * The line with stars in the place of what may be a login: in addresses, and in options whose names say so. As long as
 * it was.
 */
export function withoutSecrets(line: string): string {
  const stars = (text: string) => '*'.repeat([...text].length)
  return line
    .replace(
      /([a-z][a-z0-9+.-]*:\/\/)([^\s/?#'"]*)@/gi,
      (_, scheme: string, login: string) => `${scheme}${stars(login)}@`,
    )
    .replace(
      /((?:pass|secret|token|credential|key|cert)\w*['"]?\s*[=:]\s*['"`])([^'"`]*)/gi,
      (_, name: string, value: string) => name + stars(value),
    )
}
