import { Copyable } from "../parts/copy.tsx";
import { Heading } from "../parts/heading.tsx";
import { planOf, roleName, useSession } from "../session.ts";
import { limitInWords, shortDate } from "../times.ts";
import { titled } from "../tokens/new-token.tsx";

export function OrganizationPage() {
  const session = useSession();
  const { organization, offer, role } = session;
  const plan = planOf(session);
  const noun = offer.tokenNoun ?? "token";
  return (
    <>
      <Heading title="Organization" product={offer.productName ?? ""} />
      <section class="panel">
        <dl>
          <dt>Name</dt>
          <dd>{organization.name}</dd>
          <dt>Id</dt>
          <dd>
            <Copyable text={organization.id ?? ""} what="id" />
          </dd>
          <dt>Product</dt>
          <dd>{offer.productName}</dd>
          <dt>Since</dt>
          <dd>{organization.createdAt === undefined ? "" : shortDate(organization.createdAt)}</dd>
          <dt>Your role</dt>
          <dd>{roleName(role)}</dd>
        </dl>
      </section>
      <section>
        <h2>Plan</h2>
        <table class="cards">
          <caption class="visually-hidden">Plans</caption>
          <thead>
            <tr>
              <th scope="col">Plan</th>
              <th scope="col">API {noun}s</th>
              <th scope="col">Limit of each</th>
              <th scope="col">Bound to addresses</th>
            </tr>
          </thead>
          <tbody>
            {(offer.plans ?? []).map((one) => (
              <tr key={one.name}>
                <th scope="row" data-label="Plan">
                  <span class="name">
                    {titled(one.name ?? "")} {one.name === plan?.name ? <span class="badge good">Yours</span> : null}
                  </span>
                </th>
                <td data-label={`API ${noun}s`}>{one.tokens ? "Yes" : "No"}</td>
                <td data-label="Limit of each">{one.tokens ? limitInWords(one.rateLimit) : "—"}</td>
                <td data-label="Bound to addresses">{one.ipAllowlist ? "Yes" : "No"}</td>
              </tr>
            ))}
          </tbody>
        </table>
        <p class="hint">To change the plan, ask {offer.productName}.</p>
      </section>
    </>
  );
}
