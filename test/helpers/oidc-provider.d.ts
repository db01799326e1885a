/** The types of oidc-provider as far as it is used here: it ships none, and those of others bring thirty packages. */
declare module "oidc-provider" {
  import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";

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

  interface Grant {
    addOIDCScope(scope: string): void;
    save(): Promise<string>;
  }

  export class Provider {
    constructor(issuer: string, configuration: Readonly<Record<string, unknown>>);
    readonly Client: { find(id: string): Promise<Client | undefined> };
    readonly ClientCredentials: new (properties: {
      readonly client: Client | undefined;
      readonly scope: string;
    }) => { save(): Promise<string> };
    readonly Grant: new (properties: {
      readonly accountId: string;
      readonly clientId: string;
    }) => Grant;
    callback(): RequestListener;
    interactionFinished(
      request: IncomingMessage,
      response: ServerResponse,
      result: Readonly<Record<string, unknown>>,
      options?: { readonly mergeWithLastSubmission?: boolean },
    ): Promise<void>;
    on(event: string, listener: (...values: readonly unknown[]) => void): this;
  }
}
