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
      // The key of a sink names columns. Those of accounts are secret, and so is that of TLS, which begins with dashes.
      /((?:(?:pass|secret|token|credential|cert)\w*|[.\w]key(?:_?id)?)['"]?\s*[=:]\s*['"`]|key['"]?\s*[=:]\s*['"`](?=-----))([^'"`]*)/gi,
      (_, name: string, value: string) => name + stars(value),
    )
}
