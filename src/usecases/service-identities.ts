/** Finds out which service a client certificate is of. */
import type { Caller } from "../domain/caller.ts";
import type { Clock } from "../domain/clock.ts";
import { AppError } from "../domain/errors.ts";
import type { Logger } from "../domain/logger.ts";
import type { ClientCertificate, ServiceIdentity } from "../domain/service-identity.ts";

/** The same for whoever holds a certificate of the deployment's own authority, whatever is wrong with it. */
const NOT_KNOWN =
  "The client certificate is no service's here: send a service key, or have one of its names given to a service.";

export class ServiceIdentities {
  readonly #clock: Clock;
  readonly #logger: Logger;
  #byName: ReadonlyMap<string, ServiceIdentity> = new Map();
  /** By certificate, which is one object for many calls of a connection. Undefined is nobody. */
  #callers = new WeakMap<ClientCertificate, { readonly caller: Caller | undefined }>();

  constructor({ clock, logger }: { readonly clock: Clock; readonly logger: Logger }) {
    this.#clock = clock;
    this.#logger = logger;
  }

  /** From now on these are all; calls on open connections go by them too. */
  replace(identities: readonly ServiceIdentity[]): void {
    this.#byName = new Map(identities.flatMap((identity) => keysOf(identity).map((key) => [key, identity] as const)));
    this.#callers = new WeakMap();
  }

  /**
   * @param certificate one whose chain was verified
   * @throws AppError of kind `unauthenticated` when it has no name of a service here, or names of several (which of
   *   them counts must not be a guess), or has expired since its connection was made
   */
  callerOf(certificate: ClientCertificate): Caller {
    let known = this.#callers.get(certificate);
    if (known === undefined) {
      known = { caller: this.#find(certificate) };
      this.#callers.set(certificate, known);
    }
    if (known.caller === undefined || certificate.expiresAtMs <= this.#clock()) {
      throw new AppError("unauthenticated", NOT_KNOWN, { reason: "credential_invalid" });
    }
    return known.caller;
  }

  #find(certificate: ClientCertificate): Caller | undefined {
    const found = new Set(keysOf(certificate).flatMap((key) => this.#byName.get(key) ?? []));
    const [service] = found;
    if (service !== undefined && found.size === 1) return { kind: "service", service };
    const { dnsNames, uris } = certificate;
    const services = Array.from(found, ({ name }) => name);
    this.#logger.info({ dnsNames, uris, services }, "client certificate that is not of one service");
    return undefined;
  }
}

/** Both kinds of names in one table. */
function keysOf({ dnsNames, uris }: Pick<ClientCertificate, "dnsNames" | "uris">): readonly string[] {
  return [...dnsNames.map((name) => `dns:${name}`), ...uris.map((uri) => `uri:${uri}`)];
}
