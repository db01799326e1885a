/** Rows of invitations to the domain's invitations, and back. */
import type { Invitation } from "../domain/entities.ts";
import type { Role } from "../domain/roles.ts";
import { toMillis } from "./rows.ts";

export interface InvitationRow {
  readonly id: string;
  readonly organization_id: string;
  readonly email: string;
  readonly role: Role;
  readonly is_mailed: number;
  readonly created_by: string;
  readonly created_at: number;
  readonly expires_at: number;
}

export function toInvitation(row: InvitationRow): Invitation {
  return {
    id: row.id,
    organizationId: row.organization_id,
    email: row.email,
    role: row.role,
    isMailed: row.is_mailed === 1,
    createdBy: row.created_by,
    createdAt: new Date(row.created_at),
    expiresAt: new Date(row.expires_at),
  };
}

export function invitationRow(invitation: Invitation): InvitationRow {
  return {
    id: invitation.id,
    organization_id: invitation.organizationId,
    email: invitation.email,
    role: invitation.role,
    is_mailed: Number(invitation.isMailed),
    created_by: invitation.createdBy,
    created_at: toMillis(invitation.createdAt),
    expires_at: toMillis(invitation.expiresAt),
  };
}
