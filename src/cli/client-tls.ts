/** How the client commands speak TLS: whom they trust, and with which certificate. */
import { readFile } from "node:fs/promises";
import { getCACertificates, setDefaultCACertificates } from "node:tls";
import type { ClientTls } from "../client/index.ts";
import type { ClientSettings } from "./client-settings.ts";
import { CommandError } from "./command-error.ts";

export interface Connection {
  /** `host:port` */
  readonly address: string;
  /** Undefined where plain text is spoken. */
  readonly tls: ClientTls | undefined;
}

/**
 * Where the settings lead. `https://` before the address, an authority or a certificate mean TLS.
 *
 * @throws CommandError for settings that contradict each other, and files that can't be read
 */
export async function connectionOf(settings: ClientSettings): Promise<Connection> {
  const { addr, cacert, cert, key } = settings;
  const [, scheme, host = ""] = /^(?:(https?):\/\/)?(.*?)\/?$/i.exec(addr.value ?? "") ?? [];
  const protocol = scheme?.toLowerCase();
  const address = protocol === "https" && !/:\d+$/.test(host) ? `${host}:443` : host;
  if ((cert.value === undefined) !== (key.value === undefined)) {
    const [there, missing] = cert.value === undefined ? [key, "key's certificate"] : [cert, "certificate's key"];
    throw new CommandError(`${there.from} is there, and the ${missing} isn't: set both with --cert and --key`);
  }
  const file = cacert.value ?? cert.value;
  if (protocol === "http" && file !== undefined) {
    throw new CommandError(`${addr.from} says http, which is plain text, and ${file} is for TLS: write https`);
  }
  if (protocol !== "https" && file === undefined) return { address, tls: undefined };
  const [ca, certificate, privateKey] = await Promise.all([cacert, cert, key].map(contentOf));
  return { address, tls: { ca, cert: certificate, key: privateKey } };
}

/** Trusts the authority also where the public port is called, besides those that everybody trusts. */
export async function trustAuthority({ cacert }: ClientSettings): Promise<void> {
  const ca = await contentOf(cacert);
  if (ca !== undefined) setDefaultCACertificates([...getCACertificates("default"), ca.toString()]);
}

async function contentOf({ value, from }: ClientSettings["cacert"]): Promise<Buffer | undefined> {
  if (value === undefined) return undefined;
  try {
    return await readFile(value);
  } catch (error) {
    throw new CommandError(`${value} (${from}) can't be read: ${(error as NodeJS.ErrnoException).code}`);
  }
}
