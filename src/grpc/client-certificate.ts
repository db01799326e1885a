/** What a client certificate says of its holder, and whether a TLS connection may be served at all. */
import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";
import type { ClientCertificate } from "../domain/service-identity.ts";

/** Why a connection isn't served: a word for the log. Undefined for one that is. */
export function refusalOf(socket: TLSSocket, requiresCertificate: boolean): string | undefined {
  // Without ALPN it isn't gRPC over HTTP/2 that the client wants to speak (RFC 9113, section 3.2).
  if (socket.alpnProtocol !== "h2") return "no HTTP/2";
  if (socket.getPeerX509Certificate() === undefined) return requiresCertificate ? "no client certificate" : undefined;
  // A bad certificate isn't as good as none: its holder means to be somebody.
  return socket.authorized ? undefined : String(socket.authorizationError);
}

export function readClientCertificate(certificate: X509Certificate): ClientCertificate {
  const names = alternativeNames(certificate.subjectAltName ?? "");
  const ofType = (type: string): readonly string[] =>
    names.filter((name) => name.type === type).map(({ value }) => value);
  return {
    dnsNames: ofType("DNS").map((name) => name.toLowerCase()),
    uris: ofType("URI"),
    expiresAtMs: certificate.validToDate.getTime(),
  };
}

/** Node quotes a value, as JSON does, where it could be taken for several. */
const NAME = /(?:^|, )([A-Za-z][A-Za-z0-9 ]*):("(?:[^"\\]|\\.)*"|[^",]*)/y;

/** The names in Node's one text for all of them. Of a text that isn't understood to its end, none. */
function alternativeNames(text: string): readonly { readonly type: string; readonly value: string }[] {
  const names: { readonly type: string; readonly value: string }[] = [];
  NAME.lastIndex = 0;
  let end = 0;
  for (let match = NAME.exec(text); match !== null; match = NAME.exec(text)) {
    const [, type = "", value = ""] = match;
    end = NAME.lastIndex;
    // A quoted value holds what no name of a service does.
    if (!value.startsWith('"')) names.push({ type, value });
  }
  return end === text.length ? names : [];
}
