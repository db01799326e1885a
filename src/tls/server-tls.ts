/** What a listener needs to serve TLS, and how it serves it. */
import { constants } from "node:crypto";
import type { SecureContextOptions, TlsOptions } from "node:tls";

/** The content of a listener's files, checked. It can be handed to another thread. */
export interface ServerTls {
  /** The certificate and those between it and its root, PEM. */
  readonly cert: string;
  /** PEM. Never logged. */
  readonly key: string;
  /** When the certificate ends, in milliseconds since 1970. */
  readonly expiresAtMs: number;
  /** Those whose client certificates are good, PEM; undefined asks for none. */
  readonly clientCa: string | undefined;
}

/** As Mozilla's "intermediate": forward secrecy and AEAD only. HTTP/2 forbids the others (RFC 9113, section 9.2.2). */
const CIPHERS = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

/** A client that doesn't get on with its handshake must not hold its place. */
const HANDSHAKE_TIMEOUT_MS = 10_000;

/** What can change while a listener listens. */
export function secureContextOptions({ cert, key, clientCa }: ServerTls): SecureContextOptions {
  return {
    cert,
    key,
    minVersion: "TLSv1.2",
    ciphers: CIPHERS,
    ...(clientCa !== undefined && {
      ca: clientCa,
      // A ticket would let a client in whose certificate has expired, or whose authority is no longer ours.
      secureOptions: constants.SSL_OP_NO_TICKET,
    }),
  };
}

/**
 * The options of a server. One with client certificates lets everybody finish the handshake: whether the certificate
 * is good, its `secureConnection` listener has to look.
 *
 * @param protocol the one protocol that is spoken, by its name in ALPN
 */
export function serverOptions(tls: ServerTls, protocol: "h2" | "http/1.1"): TlsOptions {
  return {
    ...secureContextOptions(tls),
    ALPNProtocols: [protocol],
    handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
    requestCert: tls.clientCa !== undefined,
    rejectUnauthorized: false,
  };
}
