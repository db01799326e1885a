/** Backends that are known by a client certificate (mutual TLS) in place of a service key. */
import type { Id } from "./ids.ts";

/** What a verified client certificate says of its holder. */
export interface ClientCertificate {
  /** Its subject alternative names of the type DNS, in lower case. The common name doesn't count (RFC 9525). */
  readonly dnsNames: readonly string[];
  /** Those of the type URI, a SPIFFE id for example, to the character. */
  readonly uris: readonly string[];
  /** Its `notAfter`, in milliseconds since 1970: a connection may live longer. */
  readonly expiresAtMs: number;
}

/** Who a backend with one of these names is, and what it may ask. */
export interface ServiceIdentity {
  /** The operator's own word for it, unique. */
  readonly name: string;
  readonly dnsNames: readonly string[];
  readonly uris: readonly string[];
  /** The system organization's for all of them, as with service keys. */
  readonly organizationId: Id;
  readonly scopes: readonly string[];
}
