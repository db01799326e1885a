/** Binds a server to an address that an operator has set. */
import type { AddressInfo, Server } from "node:net";
import { StartError } from "../domain/start-error.ts";

/**
 * @param address `host:port` or `[v6]:port`; port 0 picks a free one
 * @param what names the address in errors, with the setting that changes it
 * @returns the address as really bound
 * @throws StartError when it can't be
 */
export async function listen(
  server: Server,
  address: string,
  what: { readonly name: string; readonly setting: string },
): Promise<string> {
  const [, host, port] = /^(.+):(\d{1,5})$/.exec(address) ?? [];
  if (host === undefined || Number(port) > 0xffff) {
    throw new StartError(`${what.name} address ${address} is not host:port: set ${what.setting}`);
  }
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", reject);
  server.listen(Number(port), host.replace(/^\[(.*)\]$/, "$1"), resolve);
  try {
    await promise;
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new StartError(
      code === "EADDRINUSE"
        ? `${what.name} address ${address} is taken: stop what listens there, or set ${what.setting}`
        : `${what.name} address ${address} can't be listened on (${code ?? message}): set ${what.setting}`,
      { cause },
    );
  } finally {
    server.off("error", reject);
  }
  const bound = server.address() as AddressInfo;
  return bound.family === "IPv6" ? `[${bound.address}]:${bound.port}` : `${bound.address}:${bound.port}`;
}
