/** The types of oidc-provider as far as it is used here: it ships none, and those of others bring thirty packages. */
declare module "oidc-provider" {
  import type { RequestListener } from "node:http";

  export interface Adapter {
    find(id: string): Promise<unknown>;
    upsert(id: string, payload: unknown): Promise<void>;
    destroy(id: string): Promise<void>;
    consume(id: string): Promise<void>;
    findByUid(uid: string): Promise<unknown>;
    findByUserCode(userCode: string): Promise<unknown>;
    revokeByGrantId(grantId: string): Promise<void>;
  }

  interface Client {
    readonly clientId: string;
  }

  export class Provider {
    constructor(issuer: string, configuration: Readonly<Record<string, unknown>>);
    readonly Client: { find(id: string): Promise<Client | undefined> };
    readonly ClientCredentials: new (properties: {
      readonly client: Client | undefined;
      readonly scope: string;
    }) => { save(): Promise<string> };
    callback(): RequestListener;
  }
}
