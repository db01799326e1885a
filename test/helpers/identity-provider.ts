/** A real OpenID provider on a free port: oidc-provider, with people who sign in as soon as they are asked to. */
import { generateKeyPairSync } from "node:crypto";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { Provider } from "oidc-provider";

export interface ProviderAccount {
  readonly sub: string;
  readonly email?: string;
  readonly emailVerified?: boolean;
}

export interface IdentityProvider extends AsyncDisposable {
  readonly issuer: string;
  readonly client: { readonly id: string; readonly secret: string };
  /** Paths that were asked for so far. */
  readonly requests: string[];
  /** The person who sits at the browser; undefined says no to whoever asks them to sign in. */
  person: ProviderAccount | undefined;
  /** Claims that its access tokens have besides. */
  extraClaims: Readonly<Record<string, unknown>>;
  /** The private key that it signs with, as a JSON Web Key. */
  readonly signingKey: Readonly<Record<string, unknown>>;
  /** An access token in the form of RFC 9068 for an audience, about the client itself. */
  accessToken(audience: string): Promise<string>;
  /** Goes away, and comes back to the same place. */
  stop(): Promise<void>;
  start(): Promise<void>;
}

export async function startIdentityProvider(redirectUris: readonly string[] = []): Promise<IdentityProvider> {
  const requests: string[] = [];
  const server = createServer();
  await listen(server, 0);
  const { port } = server.address() as AddressInfo;
  const issuer = `http://127.0.0.1:${port}`;
  const client = { id: "latchkey-dashboard", secret: "a-secret-of-the-client:long+enough%to~be=one" };
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  const signingKey = { ...privateKey.export({ format: "jwk" }), kid: "first", alg: "RS256", use: "sig" };
  let people: ReadonlyMap<string, ProviderAccount> = new Map();

  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: client.id,
        client_secret: client.secret,
        redirect_uris: redirectUris,
        grant_types: ["client_credentials", ...(redirectUris.length > 0 ? ["authorization_code"] : [])],
        response_types: redirectUris.length > 0 ? ["code"] : [],
      },
    ],
    claims: { openid: ["sub"], email: ["email", "email_verified"] },
    // As Google does it: the ID token has what the scopes ask for.
    conformIdTokenClaims: false,
    cookies: { keys: ["a key of the cookies"] },
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        getResourceServerInfo: (_context: unknown, resource: string) => ({
          scope: "",
          audience: resource,
          accessTokenFormat: "jwt",
          jwt: { sign: { alg: "RS256" } },
        }),
      },
    },
    extraTokenClaims: () => self.extraClaims,
    findAccount: (_context: unknown, id: string) => {
      const { email, emailVerified = true } = people.get(id) ?? {};
      const claims = email === undefined ? {} : { email, email_verified: emailVerified };
      return { accountId: id, claims: () => ({ sub: id, ...claims }) };
    },
    // Nobody is asked whether the client may know who they are.
    loadExistingGrant: async (context: {
      oidc: { client: { clientId: string }; session: { accountId: string }; provider: Provider };
    }) => {
      const { client: asking, session } = context.oidc;
      const grant = new provider.Grant({ clientId: asking.clientId, accountId: session.accountId });
      grant.addOIDCScope("openid email");
      await grant.save();
      return grant;
    },
    interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    jwks: { keys: [signingKey] },
    ttl: { ClientCredentials: 3600, AccessToken: 3600, IdToken: 3600, Interaction: 600, Session: 600, Grant: 600 },
  });
  const callback = provider.callback();
  server.on("request", (request, response) => {
    requests.push(request.url ?? "");
    if (!request.url?.startsWith("/interaction/")) return callback(request, response);
    const { person } = self;
    if (person !== undefined) people = new Map([...people, [person.sub, person]]);
    const result =
      person === undefined
        ? { error: "access_denied", error_description: "they said no" }
        : { login: { accountId: person.sub } };
    void provider.interactionFinished(request, response, result);
  });

  const self: IdentityProvider = {
    issuer,
    client,
    requests,
    person: undefined,
    extraClaims: {},
    signingKey,
    async accessToken(audience) {
      const response = await fetch(`${issuer}/token`, {
        method: "POST",
        headers: {
          authorization: `Basic ${Buffer.from(`${encodeURIComponent(client.id)}:${encodeURIComponent(client.secret)}`).toString("base64")}`,
        },
        body: new URLSearchParams({ grant_type: "client_credentials", resource: audience }),
      });
      const answer = (await response.json()) as { access_token?: string };
      if (answer.access_token === undefined) throw new Error(JSON.stringify(answer));
      return answer.access_token;
    },
    stop: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
    start: () => listen(server, port),
    [Symbol.asyncDispose]: () => self.stop(),
  };
  return self;
}

function listen(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject).listen(port, "127.0.0.1", () => resolve());
  });
}
