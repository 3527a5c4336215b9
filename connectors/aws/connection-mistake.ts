const notTrusted =
  /^(CERT_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_|ERR_TLS_CERT_ALTNAME_INVALID|HOSTNAME_MISMATCH)/

/** What is wrong with an address or a certificate, where that is why nothing was answered, and what to do. */
export function connectionMistake(error: unknown): string | undefined {
  if (!(error instanceof Error)) return undefined
  const { code } = error as NodeJS.ErrnoException
  if (code === 'EPROTO' || code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG')
    return 'The server does not speak TLS: write http:// instead of https:// in its address.'
  if (code !== undefined && notTrusted.test(code))
    return 'Its certificate is not trusted: name the authority in NODE_EXTRA_CA_CERTS, or correct the address.'
  return undefined
}
